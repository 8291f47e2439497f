"""Metrics of calorimeter showers: two samples of showers to a value with its uncertainty."""
