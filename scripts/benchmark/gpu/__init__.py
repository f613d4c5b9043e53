"""The parts of the check on a GPU."""
