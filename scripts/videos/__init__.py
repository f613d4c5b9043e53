"""What ``scripts/visualize.py`` is told, and the tracks that it draws."""
