"""Two checkouts side by side: cases, the program that runs one of them in a checkout, and what comes of it."""
