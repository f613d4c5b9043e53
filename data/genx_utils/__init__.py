"""The RVT dataset layout: labels, sequences, plans, datasets."""
