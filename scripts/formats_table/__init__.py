"""Files of other programs in our reader, and ours in theirs: a table for docs/FORMATS.md."""
