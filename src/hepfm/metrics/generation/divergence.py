"""Kullback-Leibler divergence of histograms, of generated rows from real ones.

``kl.quantile_bins.v2``: the edges are 30 quantiles of the reference between 0.001 and 0.999, and what lies
below the first or above the last edge has a bin of its own. With p and q the fractions of the reference and
of the other sample in the bins, each plus 1e-8 and scaled to sum 1, the value is sum p ln(p/q). Edges that
coincide, as those of a multiplicity do, count once. A sample that leaves the range of the reference thus gets
worse until it has left it altogether, where the value stays at some 15.

The published function (OmniJet-alpha, 2403.05618) drops what lies outside the range, so that a few jets left
inside it can look perfect, and takes densities for p and q, which gives narrow bins more weight.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hepfm.metrics.bootstrap import RESAMPLES, Statistic
from hepfm.metrics.generation.two_sample import Pair, bootstrap_pairs
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray

DEFINITION = "kl.quantile_bins.v2"
EDGES = 30
FLOOR = 1e-8


def kl_statistic(reference: FloatArray, other: FloatArray) -> Statistic:
    """Return the divergence as a function of row weights; the edges stay those of the reference."""
    edges = quantile_edges(reference)
    n = len(reference)
    bins = np.searchsorted(edges, np.concatenate([reference, other]), side="right")

    def fractions(part: slice, weights: FloatArray) -> FloatArray:
        counts = np.bincount(bins[part], weights[part], minlength=len(edges) + 1)
        raised = counts / counts.sum() + FLOOR
        return raised / raised.sum()

    def statistic(weights: FloatArray) -> float:
        if weights[:n].sum() == 0 or weights[n:].sum() == 0:
            return float("nan")
        p, q = fractions(slice(n), weights), fractions(slice(n, None), weights)
        return float((p * np.log(p / q)).sum())

    return statistic


def kl(pairs: Mapping[str, Pair], *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Measurement]:
    """Measure the divergence of several observables with the bootstrap error of both samples."""
    return bootstrap_pairs(pairs, kl_statistic, definition=DEFINITION, resamples=resamples, seed=seed)


def quantile_edges(reference: FloatArray) -> FloatArray:
    """Return edges that rise; the last one lies just above its quantile, which belongs to the bin below."""
    edges = np.unique(np.quantile(reference, np.linspace(0.001, 0.999, EDGES)))
    closed = np.nextafter(edges[-1], np.inf)
    return np.append(edges if len(edges) == 1 else edges[:-1], closed)
