"""Augmentation of frames and labels: drawn once per lane, exact for both, nearest neighbour."""
