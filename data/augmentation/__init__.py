"""Label-aware augmentation of event frames."""
