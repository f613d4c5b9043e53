"""Several processes: starting, talking, sharing work, their states."""
