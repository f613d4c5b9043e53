"""Batches: what is in one, and the loader that makes them from the plan."""
