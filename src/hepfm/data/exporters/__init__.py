"""Rows of a store as files that other tools of the field read."""
