"""Maps of published formats."""
