"""The steps of self-training rounds and their summary."""
