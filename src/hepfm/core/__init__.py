"""Schema, batch, config, registry, errors, log, files and random numbers."""
