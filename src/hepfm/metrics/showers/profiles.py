"""Mean profiles of two samples of showers: the 1-Wasserstein distance between their fractions of energy.

``w1_profile.v1``: the fraction of all energy (or of all cells) by layer, ring or bin, as a distribution; the
distance is in layers, in mm, or in decades of a cell's energy.
"""

from __future__ import annotations

import numpy as np

from hepfm.metrics.bootstrap import RESAMPLES, Statistic, bootstrap_values
from hepfm.metrics.generation.two_sample import with_error
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray
from hepfm.metrics.showers.sample import CELL_EDGES, Showers

DEFINITION = "w1_profile.v1"
TITLES = {
    "longitudinal": "longitudinal profile [layers]",
    "radial": "radial profile [mm]",
    "cell_energy": "spectrum of cells [decades]",
}


def profiles(reference: Showers, other: Showers, *, seed: int = 0) -> dict[str, Measurement]:
    """Measure W1 of the three mean profiles, with the bootstrap error of both samples."""
    centres = np.log10(CELL_EDGES)
    places = {
        "longitudinal": np.arange(reference.longitudinal.shape[1], dtype=np.float64),
        "radial": reference.rings,
        "cell_energy": (centres[1:] + centres[:-1]) / 2,
    }
    columns = {
        "longitudinal": (reference.longitudinal, other.longitudinal),
        "radial": (reference.radial, other.radial),
        "cell_energy": (reference.spectrum, other.spectrum),
    }
    statistics = {name: _statistic(*columns[name], places[name]) for name in TITLES}
    ones = np.ones(len(reference) + len(other))
    draws = bootstrap_values(list(statistics.values()), ones, resamples=RESAMPLES, seed=seed)
    return {
        name: with_error(
            statistic(ones),
            float(error),
            n=min(len(reference), len(other)),
            definition=f"{DEFINITION}.{name}",
            interval=f"bootstrap of both samples, standard deviation ({RESAMPLES})",
        )
        for (name, statistic), error in zip(statistics.items(), draws.std(axis=0, ddof=1), strict=True)
    }


def _statistic(reference: FloatArray, other: FloatArray, places: FloatArray) -> Statistic:
    rows, gaps = len(reference), np.diff(places)

    def statistic(weights: FloatArray) -> float:
        p, q = weights[:rows] @ reference, weights[rows:] @ other
        if p.sum() <= 0 or q.sum() <= 0:
            return float("nan")
        steps = np.cumsum(p / p.sum() - q / q.sum())[:-1]
        return float(np.abs(steps) @ gaps)

    return statistic
