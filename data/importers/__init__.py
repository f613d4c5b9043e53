"""Boxes and recordings of other projects' datasets, brought into ours."""
