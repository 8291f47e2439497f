"""Graphs: what a model computes, as tensors in and out, for files that other programs run."""
