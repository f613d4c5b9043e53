"""The Prophesee detection protocol."""
