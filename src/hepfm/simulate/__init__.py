"""Event generation with Pythia 8, the detector response, clustering and labels."""
