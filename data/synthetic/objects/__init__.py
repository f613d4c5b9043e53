"""What moves and stands in the synthetic street."""
