"""Metrics: pure functions from arrays to a value with its uncertainty."""
