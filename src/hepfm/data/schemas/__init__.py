"""Field lists of the data sets: what their columns are called and mean."""
