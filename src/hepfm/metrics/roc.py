"""ROC curves on a grid of signal efficiencies, with the threshold rule of `hepfm.metrics.rejection`.

With negative weights efficiencies do not rise steadily as the threshold falls. The rule stays the same: the
first threshold from the top at which the signal efficiency reaches the target.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.metrics.predictions import FloatArray, IntArray, Predictions
from hepfm.metrics.rejection import PairScores


@dataclass(frozen=True)
class RocCurve:
    """A ROC curve.

    Attributes
    ----------
    signal_efficiency
        The grid, shape (G,).
    background_efficiency
        Share of background rows that pass, shape (G,).
    passed
        Number of background rows that pass, shape (G,): where it is small the curve is mostly chance.
    total
        Number of background rows.
    """

    signal_efficiency: FloatArray
    background_efficiency: FloatArray
    passed: IntArray
    total: int


def roc_curve(
    predictions: Predictions, efficiencies: FloatArray, *, signal: str, background: str
) -> RocCurve:
    """Return the background efficiency at each signal efficiency of the grid.

    Each point is the first threshold at or above the target, so that the curve goes exactly through the
    rejections quoted in tables.
    """
    if len(efficiencies) == 0 or efficiencies.min() <= 0 or efficiencies.max() >= 1:
        raise ConfigError("the signal efficiencies of a ROC curve lie between 0 and 1, ends excluded")
    scores = PairScores(predictions, signal=signal, background=background)
    weights = predictions.row_weights
    points = [scores.working_point(float(efficiency), weights) for efficiency in efficiencies]
    return RocCurve(
        signal_efficiency=efficiencies,
        background_efficiency=np.array([point.background_efficiency for point in points]),
        passed=np.array([point.passed for point in points], np.int64),
        total=points[0].total,
    )
