"""From detections to a dataset of pseudo labels."""
