"""Lightning: the detection module, the pseudo-labeler, the data module, tracking and TTA."""
