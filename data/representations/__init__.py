"""Event representations (frames) from raw events."""
