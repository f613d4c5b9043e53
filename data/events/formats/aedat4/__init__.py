"""iniVation AEDAT4: the head of a file, its streams, its events."""
