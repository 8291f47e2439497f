"""Spectra of generated and real rows, binned: what a figure of generated over real needs, and nothing more.

A spectrum is the mean over rows of a histogram of each row. For a number a row, the row's histogram is one
in a bin, and the mean is the fraction of rows; for constituents it is their number by pT, for showers the
energy by layer. The statistical uncertainty is the standard deviation over rows divided by the root of their
number, so that constituents of a jet, which belong together, are not counted as independent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.metrics.generation.jets import JetSample
from hepfm.metrics.generation.observables import Observed
from hepfm.metrics.predictions import FloatArray
from hepfm.metrics.showers.sample import Showers

MAX_BINS, MIN_BINS = 40, 10
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_BINS_A_DECADE = 6


@dataclass(frozen=True)
class Axis:
    """What is drawn against what.

    Attributes
    ----------
    name, title
        Name in files, and name in captions.
    label, y_label
        Of the axes, with units.
    edges
        Of the bins, shape (K + 1,); the first and the last bin hold what lies beyond.
    log_x, log_y
        Whether the axes are logarithmic.
    """

    name: str
    title: str
    label: str
    y_label: str
    edges: FloatArray
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Spectrum:
    """An axis, and how a sample fills it: a function to the histogram of each row, shape (R, K)."""

    axis: Axis
    fill: Callable[[Any], FloatArray]


@dataclass(frozen=True)
class Binned:
    """Mean over rows in each bin and its statistical uncertainty, shapes (K,), and the number of rows."""

    value: FloatArray
    error: FloatArray
    rows: int


def binned(spectrum: Spectrum, sample: Any) -> Binned:
    """Return the spectrum of a sample."""
    filled = spectrum.fill(sample)
    return Binned(filled.mean(axis=0), filled.std(axis=0) / np.sqrt(len(filled)), len(filled))


def jet_spectra(reference: Observed) -> tuple[Spectrum, ...]:
    """Return mass, pT, multiplicity, tau21, tau32 and pT of constituents, binned by the reference."""
    drawn = []
    for name, title, unit in (
        ("mass", "jet mass", " [GeV]"),
        ("pt", "jet pT", " [GeV]"),
        ("multiplicity", "constituents per jet", ""),
        ("tau21", "τ21", ""),
        ("tau32", "τ32", ""),
    ):
        edges = even_edges(reference.values[name], whole=name == "multiplicity")
        axis = Axis(name, title, f"{title}{unit}", "fraction of jets", edges)
        drawn.append(Spectrum(axis, _of_values(name, edges)))
    edges = log_edges(_constituent_pt(reference.jets))
    axis = Axis(
        "constituent_pt",
        "pT of constituents",
        "constituent pT [GeV]",
        "constituents per jet",
        edges,
        log_x=True,
        log_y=True,
    )
    return (*drawn, Spectrum(axis, lambda sample: _constituents(sample.jets, edges)))


def shower_spectra(reference: Showers) -> tuple[Spectrum, ...]:
    """Return response, number of hits, and the mean profiles in depth and radius."""
    drawn = []
    for name, title in (
        ("energy_ratio", "visible over incident energy"),
        ("num_hits", "hits per shower"),
    ):
        edges = even_edges(reference.values[name], whole=name == "num_hits")
        axis = Axis(name, title, title, "fraction of showers", edges)
        drawn.append(Spectrum(axis, _of_values(name, edges)))
    layers = np.arange(reference.longitudinal.shape[1] + 1) - 0.5
    depth = Axis("longitudinal", "longitudinal profile", "layer", "mean energy of a layer [GeV]", layers)
    radii = reference.rings
    halves = (radii[1:] + radii[:-1]) / 2
    rings = np.concatenate([[max(0.0, 2 * radii[0] - halves[0])], halves, [2 * radii[-1] - halves[-1]]])
    width = Axis(
        "radial",
        "radial profile",
        "distance from the axis [mm]",
        "mean energy of a ring [GeV]",
        rings,
        log_y=True,
    )
    drawn.append(Spectrum(depth, lambda sample: sample.longitudinal))
    drawn.append(Spectrum(width, lambda sample: sample.radial))
    return tuple(drawn)


def even_edges(values: FloatArray, *, whole: bool = False) -> FloatArray:
    """Return round edges about where all but a thousandth of the values lie on either side, with room.

    More rows give finer bins. Whole numbers get bins of whole numbers.

    >>> even_edges(np.arange(100.0), whole=True)[:3]
    array([-0.5, 19.5, 39.5])
    """
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return np.linspace(0.0, 1.0, MIN_BINS + 1)
    low, high = np.quantile(known, [0.001, 0.999])
    room = 0.15 * (high - low) or max(abs(high), 1.0) / 2
    bins = int(np.clip(np.sqrt(len(known)), MIN_BINS, MAX_BINS))
    step = _round_up((high - low + 2 * room) / bins)
    if whole:
        step = max(1.0, np.ceil(step))
    first = np.floor((low - room) / step) if low - room > 0 or low < 0 else 0.0
    last = np.ceil((high + room) / step)
    edges: FloatArray = np.arange(first, last + 1) * step - (0.5 if whole else 0.0)
    return edges


def log_edges(values: FloatArray) -> FloatArray:
    """Return logarithmic edges that all but a thousandth of the positive values on either side lie within."""
    low, high = np.quantile(np.log10(values[values > 0]), [0.001, 0.999]) * _BINS_A_DECADE
    edges: FloatArray = 10 ** (np.arange(np.floor(low) - 1, np.ceil(high) + 2) / _BINS_A_DECADE)
    return edges


def _round_up(step: float) -> float:
    decade = 10.0 ** np.floor(np.log10(step))
    return float(decade * next(one for one in _STEPS if one * decade >= step * (1 - 1e-9)))


def _of_values(name: str, edges: FloatArray) -> Callable[[Any], FloatArray]:
    def fill(sample: Any) -> FloatArray:
        values = sample.values[name]
        known = np.flatnonzero(np.isfinite(values))
        out = np.zeros((len(values), len(edges) - 1))
        out[known, _places(values[known], edges)] = 1.0
        return out

    return fill


def _constituent_pt(jets: JetSample) -> FloatArray:
    pt: FloatArray = np.hypot(jets.p4[:, 1], jets.p4[:, 2])
    return pt


def _constituents(jets: JetSample, edges: FloatArray) -> FloatArray:
    bins = len(edges) - 1
    place = np.repeat(np.arange(len(jets)), jets.lengths) * bins + _places(_constituent_pt(jets), edges)
    counts = np.bincount(place, minlength=len(jets) * bins)
    return counts.reshape(len(jets), bins).astype(np.float64)


def _places(values: FloatArray, edges: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the bin of each value; the first and the last bin hold what lies beyond."""
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
