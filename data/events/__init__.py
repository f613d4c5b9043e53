"""Event recordings: types, readers and writers."""
