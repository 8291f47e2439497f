"""hepfm: foundation models for high-energy physics, from simulation to honest comparison."""

__version__ = "0.1.0"
