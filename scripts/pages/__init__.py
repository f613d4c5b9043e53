"""Pages of docs that are made of something else."""
