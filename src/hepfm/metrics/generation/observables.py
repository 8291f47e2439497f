"""Observables of jets that distances and the classifier test look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.metrics.generation.efp import connected_efps, efps
from hepfm.metrics.generation.jets import JetSample
from hepfm.metrics.generation.two_sample import Pair
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.physics.kinematics import mass_of
from hepfm.physics.substructure import Floats, n_subjettiness

OBSERVABLES: Mapping[str, str] = {
    "mass": "mass",
    "multiplicity": "multiplicity",
    "pt": "pT",
    "energy": "energy",
    "tau21": "τ21",
    "tau32": "τ32",
    "d2": "D2",
}
"""Name and title of each observable."""


@dataclass(frozen=True)
class Observed:
    """A sample with what is computed from it once.

    Attributes
    ----------
    jets
        The sample.
    values
        By name of `OBSERVABLES`, shape (J,); NaN where a jet has no value.
    connected
        Connected energy flow polynomials by name, shape (J,).
    """

    jets: JetSample
    values: Mapping[str, FloatArray]
    connected: Mapping[str, FloatArray]

    def __len__(self) -> int:
        return len(self.jets)

    @property
    def efps(self) -> FloatArray:
        """The 36 energy flow polynomials, shape (J, 36)."""
        return efps(self.connected)

    def take(self, rows: IntArray) -> Observed:
        """Return the given jets."""
        return Observed(
            self.jets.take(rows),
            {name: values[rows] for name, values in self.values.items()},
            {name: values[rows] for name, values in self.connected.items()},
        )


def observe(jets: JetSample, *, radius: float) -> Observed:
    """Compute all observables.

    ``mass``, ``pt`` and ``energy`` are those of the sum of the constituents in GeV; ``multiplicity`` counts
    them. ``tau21`` and ``tau32`` are ratios of `hepfm.physics.substructure.n_subjettiness`; a jet of fewer
    than N constituents has no tau_N/tau_(N-1). ``d2`` is e3/e2^3 (A. Larkoski, I. Moult, D. Neill, 1409.6298)
    with beta 1 and eta - phi distances; a jet of fewer than three constituents has none. Where a denominator
    is 0, because constituents coincide, there is no value either.

    Parameters
    ----------
    radius
        Jet radius: R0 of tau_N, which cancels in the ratios, and nothing else.
    """
    total = jets.sum(jets.p4)
    connected = connected_efps(jets)
    tau = n_subjettiness(jets.p4, jets.lengths, radius=radius, number=3)
    lengths = jets.lengths
    values = {
        "mass": mass_of(total).astype(np.float64),
        "multiplicity": lengths.astype(np.float64),
        "pt": np.hypot(total[:, 1], total[:, 2]),
        "energy": total[:, 0],
        "tau21": _ratio(tau[:, 1], tau[:, 0], lengths >= 2),
        "tau32": _ratio(tau[:, 2], tau[:, 1], lengths >= 3),
        "d2": _d2(jets, connected),
    }
    return Observed(jets, values, connected)


def pairs(reference: Observed, other: Observed) -> dict[str, Pair]:
    """Return the observables of two samples side by side."""
    return {name: Pair(reference.values[name], other.values[name]) for name in OBSERVABLES}


def _d2(jets: JetSample, connected: Mapping[str, FloatArray]) -> FloatArray:
    """Return e3 / e2^3: e2 is half the line over (sum pT)^2, e3 a sixth of the triangle over (sum pT)^3."""
    total = jets.sum(jets.relative[:, 2])
    e2 = _ratio(connected["line"] / 2, total**2, jets.lengths >= 3)
    e3 = _ratio(connected["triangle"] / 6, total**3, jets.lengths >= 3)
    good = e2 > _TINY
    return np.where(good, e3 / np.where(good, e2, 1.0) ** 3, np.nan)


def _ratio(above: Floats, below: Floats, defined: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the ratio, NaN where it is not defined or the denominator vanishes within rounding."""
    good = defined & (below > _TINY)
    return np.where(good, above / np.where(good, below, 1.0), np.nan)


_TINY = 1e-12
"""Denominators below count as 0: tau_N of N directions is rounding, not radiation."""
