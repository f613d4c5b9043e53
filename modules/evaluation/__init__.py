"""Streaming evaluation: views, detections collected, figures, their table."""
