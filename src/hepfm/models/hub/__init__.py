"""Models to and from other places: the Hugging Face hub, or a folder."""
