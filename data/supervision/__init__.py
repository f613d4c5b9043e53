"""Which labels count: sub-sampling of labels and the files that list it."""
