"""What the benchmark of the data side measures."""
