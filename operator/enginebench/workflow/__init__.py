"""The pure core: what is, and what follows from it. No clock, no client, no randomness."""
