"""Checkpoints and points of resumption: written, found, taken up again."""
