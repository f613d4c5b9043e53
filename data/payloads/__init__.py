"""Payloads: what a representation keeps on disk, and how it is read, moved, mixed and put into a batch."""
