"""Learning from recordings without labels while training goes on: a teacher labels what the detector is to find."""
