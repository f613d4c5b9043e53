"""Events, labels, sequences and sampling: NumPy, h5py and torch tensors, no networks."""
