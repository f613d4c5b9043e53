"""Layouts of raw folders; a file with a ``LAYOUT`` is one, named after the file."""
