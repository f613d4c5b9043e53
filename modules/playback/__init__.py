"""Recordings and sequences with boxes, frame by frame, for videos."""
