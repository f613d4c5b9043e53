"""Helpers of the Lightning modules."""
