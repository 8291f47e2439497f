"""Values of the resonant field for samples in the signal region."""

from __future__ import annotations

from typing import Literal

import numpy as np

from hepfm.core.rng import numpy_generator
from hepfm.methods.anomaly.regions import Regions
from hepfm.methods.anomaly.spectrum import bins_beside, fit_spectrum
from hepfm.methods.ratio.base import Floats

Source = Literal["kde", "spectrum", "uniform"]
_DEGREE = 2


def draw_masses(
    mass: Floats, regions: Regions, count: int, source: Source, *, bandwidth: float, seed: int
) -> Floats:
    """Draw values of the field in the signal region.

    Parameters
    ----------
    mass
        Of the data, in all windows.
    regions
        The windows.
    count
        How many.
    source
        ``kde`` draws from the data of the region, smeared; ``spectrum`` from the spectrum that is fitted to
        the sidebands; ``uniform`` evenly.
    bandwidth
        Standard deviation of the smearing as part of the width of the region.
    seed
        Of the draw.
    """
    rng, (low, high) = numpy_generator(seed, "anomaly.masses"), regions.signal
    if source == "uniform":
        return rng.uniform(low, high, count)
    if source == "kde":
        return _smeared(mass[regions.inside(mass)], regions, count, bandwidth, rng)
    edges = regions.edges
    fit = fit_spectrum(np.histogram(mass, edges)[0], edges, bins_beside(regions), _DEGREE)
    inside = regions.inside((edges[1:] + edges[:-1]) / 2)
    share = np.where(inside, fit.expected, 0.0)
    number = rng.choice(len(share), count, p=share / share.sum())
    return rng.uniform(edges[number], edges[number + 1])


def _smeared(
    mass: Floats, regions: Regions, count: int, bandwidth: float, rng: np.random.Generator
) -> Floats:
    """Draw from a density of Gaussian kernels that is cut at the ends of the region."""
    low, high = regions.signal
    found = np.empty(0)
    while len(found) < count:
        drawn = rng.choice(mass, count) + rng.normal(0, bandwidth * (high - low), count)
        found = np.concatenate([found, drawn[regions.inside(drawn)]])
    return found[:count]
