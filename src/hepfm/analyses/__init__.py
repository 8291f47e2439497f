"""Analyses of many trainings: each has a recipe, a workflow of runs, and a report."""
