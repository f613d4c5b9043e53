"""Long tests: trainings and labelling that are killed again and again."""
