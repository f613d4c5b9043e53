"""A synthetic event camera in a textured world."""
