"""The dataset layout on disk: paths, stored labels, frames, reading and writing."""
