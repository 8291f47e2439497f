"""Labellers: from the event record to the class of a jet and the truth that is stored with it."""
