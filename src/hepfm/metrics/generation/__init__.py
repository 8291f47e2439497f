"""Metrics of generation: two samples of jets to a value with its uncertainty."""
