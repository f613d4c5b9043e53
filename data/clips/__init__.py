"""Clips: blurred frames, the same frames sharp, and what a fast sensor counted during each exposure."""
