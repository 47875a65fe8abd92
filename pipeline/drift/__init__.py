"""Drift: whether the texts that people send, and what the model finds in them, still resemble its training data."""
