"""Commands beyond the four entry points."""
