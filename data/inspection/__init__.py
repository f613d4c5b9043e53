"""Looking at a dataset: what it holds, and what is wrong with it."""
