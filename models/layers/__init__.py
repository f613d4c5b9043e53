"""Building blocks of the recurrent backbone: attention over windows and grids, convolutional LSTM."""
