"""What every command shares: entry, messages, locks, signals."""
