"""Network parts: attention, embedding, pair features, pooling."""
