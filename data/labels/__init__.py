"""Boxes in memory: of a frame, of a lane, of a whole batch."""
