"""Whether trainings that differ by chance alone agree on what they select."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from hepfm.metrics.predictions import FloatArray


@dataclass(frozen=True)
class Agreement:
    """Agreement of T trainings, over their T (T - 1) / 2 pairs.

    Attributes
    ----------
    common, least
        Events that both of a pair keep, over the mean of those that each keeps: mean and smallest of all
        pairs. NaN where nothing is kept.
    chance
        The same, expected of selections that have nothing to do with each other.
    correlation
        Spearman's rank correlation of the scores, the mean of all pairs.
    """

    common: float
    least: float
    chance: float
    correlation: float


def agreement(scores_TR: FloatArray, kept_TR: npt.NDArray[np.bool_]) -> Agreement:
    """Compare trainings event by event.

    Parameters
    ----------
    scores_TR
        Score of each of R events in each of T trainings, at least two.
    kept_TR
        Which events each keeps.

    Raises
    ------
    ValueError
        For fewer than two trainings or events.
    """
    from scipy.stats import rankdata  # a second to import

    if min(scores_TR.shape) < 2:
        raise ValueError(f"agreement is that of 2 trainings on 2 events at least, got {scores_TR.shape}")
    numbers = kept_TR.sum(axis=1)
    pairs = list(combinations(range(len(scores_TR)), 2))
    common, chance = [], []
    for one, two in pairs:
        mean = (numbers[one] + numbers[two]) / 2
        common.append((kept_TR[one] & kept_TR[two]).sum() / mean if mean else np.nan)
        chance.append(numbers[one] * numbers[two] / kept_TR.shape[1] / mean if mean else np.nan)
    correlations = np.atleast_2d(np.corrcoef(rankdata(scores_TR, axis=1)))
    return Agreement(
        float(np.mean(common)),
        float(np.min(common)),
        float(np.mean(chance)),
        float(np.mean([correlations[pair] for pair in pairs])),
    )
