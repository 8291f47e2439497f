"""Content-addressed runs of verbs: what they are, what they leave, and who does them."""
