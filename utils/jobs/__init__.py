"""Steps of longer jobs, here or on SLURM."""
