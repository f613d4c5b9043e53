"""Benchmarks that print their protocol beside each figure."""
