"""Studies: many runs planned, executed, compared and reported."""
