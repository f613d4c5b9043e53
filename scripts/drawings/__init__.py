"""Pictures of pages: the house, and the rules for label times."""
