"""The house drawn from its imports."""
