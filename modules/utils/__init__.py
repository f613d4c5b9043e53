"""What commands take from the rooms beside it: data and detector of a configuration."""
