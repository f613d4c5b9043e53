"""Recurrent backbones: frames and states in, multi-scale features and new states out."""
