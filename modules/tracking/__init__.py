"""Tracking of pseudo labels."""
