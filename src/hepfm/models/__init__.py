"""Model directories: build, save, load, check, predict, export, convert."""
