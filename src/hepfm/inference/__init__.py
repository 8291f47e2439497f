"""Models used on rows: predict, embed, generate, tokenize."""
