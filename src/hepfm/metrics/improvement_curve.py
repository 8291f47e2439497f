"""The curve of significance improvement eps_S / sqrt(eps_B) over all thresholds, cut where it is chance.

Where few background events pass, eps_B is known badly and the improvement is mostly chance: a maximum over
all thresholds would pick its upward fluctuations. Thresholds with fewer background events than a given number
are left out; 25 of them are a relative error of 20 % on eps_B and 10 % on the improvement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.metrics.predictions import FloatArray

LEAST_BACKGROUND = 25
"""Background events that pass at the tightest threshold that is looked at."""


@dataclass(frozen=True)
class ImprovementCurve:
    """Efficiencies at falling thresholds, one for each value of the score.

    Attributes
    ----------
    signal_efficiency, background_efficiency
        Of the events at or above the threshold, (T,).
    passed
        Background events there, (T,).
    least
        Fewest background events of a threshold that counts.
    """

    signal_efficiency: FloatArray
    background_efficiency: FloatArray
    passed: npt.NDArray[np.int64]
    least: int

    @property
    def counts(self) -> npt.NDArray[np.bool_]:
        """Which thresholds count, (T,)."""
        return (self.passed >= self.least) & (self.background_efficiency > 0)

    def best(self) -> tuple[float, float, float, int] | None:
        """Return the largest improvement, both efficiencies and the background events there; None if there is
        too little background."""
        if not self.counts.any():
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            values = self.signal_efficiency / np.sqrt(self.background_efficiency)
        place = int(np.argmax(np.where(self.counts, values, -np.inf)))
        efficiencies = float(self.signal_efficiency[place]), float(self.background_efficiency[place])
        return float(values[place]), *efficiencies, int(self.passed[place])

    def at_background(self, efficiencies: FloatArray) -> FloatArray:
        """Return the signal efficiency at background efficiencies, (G,); NaN where too few events pass.

        The threshold is the lowest at which at most the given part of the background passes, as in
        `hepfm.metrics.significance`.
        """
        place = np.searchsorted(self.background_efficiency, efficiencies * (1 + 1e-12), side="right") - 1
        found = np.where(place >= 0, self.signal_efficiency[place], 0.0)
        enough = (place >= 0) & (self.passed[place] >= self.least)
        return np.where(enough, found, np.nan)


def improvement_curve(
    score: FloatArray,
    signal: npt.NDArray[np.bool_],
    weights: FloatArray | None = None,
    *,
    least: int = LEAST_BACKGROUND,
) -> ImprovementCurve:
    """Return the curve of scored events.

    Parameters
    ----------
    score
        Of R events: the higher, the more like signal.
    signal
        Which of them are signal, (R,).
    weights
        Of the events, none negative; 1 when None.
    least
        See `ImprovementCurve`.

    Raises
    ------
    DataError
        When either side has no events or no weight, or a weight is negative.
    """
    w = np.ones(len(score)) if weights is None else np.asarray(weights, np.float64)
    if (w < 0).any():
        raise DataError(f"{int((w < 0).sum())} of {len(w)} weights are negative: efficiencies would not rise")
    totals = float(w[signal].sum()), float(w[~signal].sum())
    if min(totals) <= 0:
        raise DataError(
            f"an improvement needs signal and background, got sums of weights {totals[0]:g} and {totals[1]:g}"
        )
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    side, weight = signal[order], w[order]
    return ImprovementCurve(
        np.cumsum(weight * side)[last] / totals[0],
        np.cumsum(weight * ~side)[last] / totals[1],
        np.cumsum(~side, dtype=np.int64)[last],
        least,
    )
