"""Kullback-Leibler divergence of histograms, as OmniJet-alpha measures generated jets (2403.05618).

``kl.quantile_bins.v1``: the edges are 30 quantiles of the reference between 0.001 and 0.999; both samples
are histogrammed as densities, 1e-8 is added, the densities are scaled to sum 1 and sum p ln(p/q) is taken
with p the reference. Edges that coincide, as those of a multiplicity do, count once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.stats import entropy

from hepfm.metrics.bootstrap import RESAMPLES, Statistic
from hepfm.metrics.generation.two_sample import Pair, bootstrap_pairs
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray

DEFINITION = "kl.quantile_bins.v1"
EDGES = 30
FLOOR = 1e-8


def kl_statistic(reference: FloatArray, other: FloatArray) -> Statistic:
    """Return the divergence as a function of row weights; the edges stay those of the reference."""
    edges = np.unique(np.quantile(reference, np.linspace(0.001, 0.999, EDGES)))
    if len(edges) < 2:
        return lambda weights: float("nan")
    n, widths = len(reference), np.diff(edges)
    bins = _bin(np.concatenate([reference, other]), edges)

    def density(bins: IntArray, weights: FloatArray) -> FloatArray:
        counts = np.bincount(bins, weights, minlength=len(widths) + 1)[: len(widths)]
        return counts / widths / max(counts.sum(), 1.0) + FLOOR

    def statistic(weights: FloatArray) -> float:
        return float(entropy(density(bins[:n], weights[:n]), density(bins[n:], weights[n:])))

    return statistic


def kl(pairs: Mapping[str, Pair], *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Measurement]:
    """Measure the divergence of several observables with the bootstrap error of both samples."""
    return bootstrap_pairs(pairs, kl_statistic, definition=DEFINITION, resamples=resamples, seed=seed)


def _bin(values: FloatArray, edges: FloatArray) -> IntArray:
    """Return the bin of each value, the last bin closed; the number of bins for values outside."""
    index = np.searchsorted(edges, values, side="right") - 1
    index[values == edges[-1]] = len(edges) - 2
    outside = (values < edges[0]) | (values > edges[-1])
    return np.where(outside, len(edges) - 1, index).astype(np.int64)
