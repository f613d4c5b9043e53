"""YOLOX parts (Ge et al., 2021): blocks, head, assignment, loss, post-processing."""
