"""A run: its files, its weights, and what it answers."""
