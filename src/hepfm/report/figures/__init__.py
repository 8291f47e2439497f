"""Figures of the report, one kind a file; each returns a `Figure` with its numbers and its caption."""
