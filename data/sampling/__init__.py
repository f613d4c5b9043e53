"""The sampling plan: which frames every batch holds, decided before any file is read."""
