"""File formats of event recordings: one reader each, and the writers."""
