"""Separation power of two samples of showers, 1/2 sum (p - q)^2 / (p + q) over the bins of a histogram.

0 for equal histograms, 1 for disjoint ones. CaloChallenge (2410.21611) measures it on histograms of
high-level observables and, where there is one histogram a layer, quotes the mean over layers; so do
we. The binning is ours where the paper's script takes the plot's.

``separation.v2``: what lies below or above the edges has a bin of its own, and so have showers without a
value, as those without energy in a layer have no centre there. A sample that leaves the range of the edges
thus gets worse; in the paper's script such showers do not count.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hepfm.metrics.bootstrap import RESAMPLES, Statistic, bootstrap_values
from hepfm.metrics.generation.two_sample import with_error
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.metrics.showers.sample import Showers

DEFINITION = "separation.v2"

_LENGTH = np.linspace(-30.0, 30.0, 101)
_WIDTH = np.linspace(0.0, 30.0, 101)

EDGES: Mapping[str, FloatArray] = {
    "energy_ratio": np.linspace(0.5, 1.5, 101),
    "sparsity": np.linspace(0.0, 1.0, 21),
    "centre_x": _LENGTH,
    "centre_y": _LENGTH,
    "centre_r": _WIDTH,
    "width_x": _WIDTH,
    "width_y": _WIDTH,
    "width_r": _WIDTH,
    "cog_x": np.linspace(-10.0, 10.0, 101),
    "cog_y": np.linspace(-10.0, 10.0, 101),
}
"""Edges of the histograms in mm, or without unit; the last three are ours alone.

Hits, depths and energies of layers are binned between the ends of the reference: 100 bins, and 40 logarithmic
ones for energies.
"""


def of_histograms(p: FloatArray, q: FloatArray) -> FloatArray:
    """Return the separation power of histograms (..., bins), shape (...); NaN where one is empty."""
    total_p, total_q = p.sum(axis=-1, keepdims=True), q.sum(axis=-1, keepdims=True)
    empty = ((total_p <= 0) | (total_q <= 0))[..., 0]
    p, q = p / np.where(total_p <= 0, 1.0, total_p), q / np.where(total_q <= 0, 1.0, total_q)
    power = 0.5 * ((p - q) ** 2 / (p + q + 1e-16)).sum(axis=-1)
    return np.where(empty, np.nan, power)


def edges_of(name: str, reference: FloatArray) -> FloatArray:
    """Return the edges of an observable's histogram, from those of the reference where they are not fixed."""
    if name in EDGES:
        return EDGES[name]
    known = reference[np.isfinite(reference)]
    if name == "layer_energy":
        return np.geomspace(15.15e-6, max(float(known.max(initial=0.0)), 2 * 15.15e-6), 41)
    low, high = float(known.min(initial=0.0)), float(known.max(initial=0.0))
    return np.linspace(low, high if high > low else low + 1.0, 101)


def separation(reference: Showers, other: Showers, *, seed: int = 0) -> dict[str, Measurement]:
    """Measure the separation power of every observable, with the bootstrap error of both samples."""
    statistics: dict[str, Statistic] = {}
    for name, values in reference.values.items():
        statistics[name] = _statistic(values, other.values[name], edges_of(name, values))
    for name, values in reference.layers.items():
        statistics[name] = _mean_of_layers(name, values, other.layers[name])
    statistics["cell_energy"] = _of_counts(reference.spectrum, other.spectrum)
    ones = np.ones(len(reference) + len(other))
    draws = bootstrap_values(list(statistics.values()), ones, resamples=RESAMPLES, seed=seed)
    errors = np.nanstd(draws, axis=0, ddof=1)
    return {
        name: with_error(
            statistic(ones),
            float(error),
            n=min(len(reference), len(other)),
            definition=f"{DEFINITION}.{name}",
            interval=f"bootstrap of both samples, standard deviation ({RESAMPLES})",
            maximum=1.0,
        )
        for (name, statistic), error in zip(statistics.items(), errors, strict=True)
    }


def _statistic(reference: FloatArray, other: FloatArray, edges: FloatArray) -> Statistic:
    place, rows = _place(np.concatenate([reference, other]), edges), len(reference)
    bins = len(edges) + 2

    def statistic(weights: FloatArray) -> float:
        p, q = (
            np.bincount(place[part], weights[part], minlength=bins).astype(np.float64)
            for part in (slice(rows), slice(rows, None))
        )
        return float(of_histograms(p, q))

    return statistic


def _place(values: FloatArray, edges: FloatArray) -> IntArray:
    """Return the bin of each value: 0 below the edges, then the bins, one above, and one without a value.

    The last bin between edges holds its upper edge.
    """
    known = np.isfinite(values)
    place = np.searchsorted(edges, np.where(known, values, edges[0]), side="right")
    place = np.where(values == edges[-1], len(edges) - 1, place)
    return np.where(known, place, len(edges) + 1).astype(np.int64)


def _mean_of_layers(name: str, reference: FloatArray, other: FloatArray) -> Statistic:
    """Return the mean over the layers; the histograms of all layers are filled at once."""
    edges = [edges_of(name, column) for column in reference.T]
    bins = max(map(len, edges)) + 2
    values_RL = np.concatenate([reference, other])
    place_RL = np.stack(
        [layer * bins + _place(values_RL[:, layer], layer_edges) for layer, layer_edges in enumerate(edges)],
        axis=1,
    )
    rows, layers = len(reference), len(edges)

    def histograms(part: slice, weights: FloatArray) -> FloatArray:
        filled = np.repeat(weights[part], layers)
        counts = np.bincount(place_RL[part].ravel(), filled, minlength=layers * bins)
        return counts.astype(np.float64).reshape(layers, bins)

    def statistic(weights: FloatArray) -> float:
        p_LH, q_LH = (histograms(part, weights) for part in (slice(rows), slice(rows, None)))
        return float(of_histograms(p_LH, q_LH).mean())

    return statistic


def _of_counts(reference: FloatArray, other: FloatArray) -> Statistic:
    rows = len(reference)
    return lambda weights: float(of_histograms(weights[:rows] @ reference, weights[rows:] @ other))
