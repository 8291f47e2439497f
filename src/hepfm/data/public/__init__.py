"""Public data sets by name: where they are, under which licence, and how their files get here."""
