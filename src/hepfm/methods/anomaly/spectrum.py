"""The spectrum of background in the resonant field: a smooth function fitted to the sidebands.

ln of the expected events per unit of the field is a polynomial in ln of the field, which is a power law with
a running exponent, as searches for dijet resonances use. The fit is by maximum likelihood of Poisson numbers
in bins: it is convex, and Newton's steps find its one maximum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.methods.anomaly.regions import Mask, Regions
from hepfm.methods.ratio.base import Floats

_STEPS = 100
_CONVERGED = 1e-9
_LARGEST_STEP = 2.0
"""Change of ln of the expectation in one step, at most: far from the maximum a Newton step is too long."""


@dataclass(frozen=True)
class MassSpectrum:
    """Expected events in bins.

    Attributes
    ----------
    edges
        Of the K bins.
    expected
        Events, (K,).
    covariance
        Of these from the fit, (K, K).
    """

    edges: Floats
    expected: Floats
    covariance: Floats

    def within(self, bins: Mask) -> tuple[float, float]:
        """Return the events expected in some bins together, and their standard deviation from the fit."""
        chosen = bins.astype(float)
        return float(self.expected @ chosen), float(np.sqrt(max(chosen @ self.covariance @ chosen, 0.0)))


def bins_inside(regions: Regions) -> Mask:
    """Tell which bins are in the signal region."""
    edges = regions.edges
    return regions.inside((edges[1:] + edges[:-1]) / 2)


def bins_beside(regions: Regions) -> Mask:
    """Tell which bins are in a sideband."""
    edges = regions.edges
    return regions.beside((edges[1:] + edges[:-1]) / 2)


def fit_spectrum(counts: npt.NDArray[np.number], edges: Floats, fitted: Mask, degree: int) -> MassSpectrum:
    """Fit a smooth spectrum to some of the bins.

    Parameters
    ----------
    counts
        Events in the K bins, (K,).
    edges
        Of the bins, above zero.
    fitted
        The bins that are looked at, (K,): the sidebands.
    degree
        Of the polynomial in ln of the field.

    Raises
    ------
    DataError
        When the field is not above zero, or fewer bins than parameters hold events.
    """
    if edges[0] <= 0:
        raise DataError(f"the spectrum is fitted in ln of the field, whose windows begin at {edges[0]:g}")
    occupied = int((counts[fitted] > 0).sum())
    if occupied <= degree:
        raise DataError(
            f"{occupied} sideband bins hold events, the spectrum has {degree + 1} parameters; loosen the cut "
            "or lower hunt.degree"
        )
    width, centre = np.diff(edges), np.log((edges[1:] + edges[:-1]) / 2)
    place = (centre - centre.mean()) / (np.ptp(centre) or 1.0)
    design = np.stack([place**power for power in range(degree + 1)], axis=1)
    n = np.asarray(counts, np.float64)
    beta = np.zeros(degree + 1)
    beta[0] = np.log(n[fitted].sum() / width[fitted].sum())
    for _ in range(_STEPS):
        expected = width * np.exp(design @ beta)
        used = design[fitted]
        information = used.T @ (expected[fitted, None] * used)
        step = np.linalg.solve(information, used.T @ (n - expected)[fitted])
        largest = float(np.abs(design @ step).max())
        beta = beta + step * min(1.0, _LARGEST_STEP / max(largest, 1e-300))
        if largest < _CONVERGED:
            break
    expected = width * np.exp(design @ beta)
    jacobian = expected[:, None] * design
    used = design[fitted]
    information = used.T @ (expected[fitted, None] * used)
    return MassSpectrum(edges, expected, jacobian @ np.linalg.inv(information) @ jacobian.T)
