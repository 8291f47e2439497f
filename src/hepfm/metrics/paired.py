"""Differences of ways of training, measured on the same test rows and with paired trainings.

Two questions are kept apart: would other *test rows* reverse the difference (paired bootstrap), and would
other *trainings* (the mean over pairs of trainings with its interval)?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.metrics.bootstrap import RESAMPLES, Statistic, bootstrap_values, percentile_interval
from hepfm.metrics.mean_interval import LEVEL, NAME, mean_interval, one_sided, p_value, why_no_interval
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.metrics.trainings import Scale, from_scale, to_scale

Values = Sequence[float | None]


def neutral(scale: Scale) -> float:
    """Return the value that means "equal": 0 for a difference, 1 for a ratio."""
    return 0.0 if scale == "difference" else 1.0


def paired_bootstrap(
    ours: Sequence[Statistic],
    theirs: Sequence[Statistic],
    weights: FloatArray,
    *,
    scale: Scale = "difference",
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: IntArray | None = None,
) -> Measurement:
    """Measure the mean of `ours` against the mean of `theirs` with the error of the test rows.

    Every resample of the test rows is shared by all models, so that what is common to them cancels.

    Parameters
    ----------
    ours, theirs
        One statistic per trained model, functions of the same rows' weights.
    weights
        Row weights, shape (n,).
    scale
        Difference of means, or ratio of geometric means.
    groups
        Group of each row, shape (n,): rows of one group are drawn together. None for rows one by one.
    """
    statistics = [*ours, *theirs]
    draws = bootstrap_values(statistics, weights, resamples=resamples, seed=seed, groups=groups)
    itself = np.array([[statistic(weights) for statistic in statistics]])
    values = np.concatenate([itself, draws])
    return resampled_difference(values[:, : len(ours)], values[:, len(ours) :], len(weights), scale=scale)


def resampled_difference(ours: FloatArray, theirs: FloatArray, n: int, *, scale: Scale) -> Measurement:
    """Return the mean of `ours` against that of `theirs` with the 95 % interval over resamples.

    Parameters
    ----------
    ours, theirs
        Values on the rows themselves, first, and on shared resamples, shape (1 + resamples, models).
    n
        Number of rows.
    """
    with np.errstate(invalid="ignore"):
        values = to_scale(ours, scale).mean(axis=1) - to_scale(theirs, scale).mean(axis=1)
    low, high = percentile_interval(values[1:], LEVEL)
    return Measurement(
        value=from_scale(float(values[0]), scale),
        low=from_scale(low, scale),
        high=from_scale(high, scale),
        n=n,
        definition=f"paired.{scale}.v1",
        interval=f"paired bootstrap 95% ({len(values) - 1})",
    )


@dataclass(frozen=True)
class PairedTrainings:
    """A contrast of ways of training, one value for each replicate.

    Attributes
    ----------
    values
        Mean of the arms that count positive less that of the others, shape (replicates,); of logarithms for a
        ratio.
    scale
        How the arms are compared.
    """

    values: FloatArray
    scale: Scale

    @property
    def reason(self) -> str:
        """Why there is no interval and no p-value; empty when there are."""
        return why_no_interval(self.values).replace("trainings", "pairs of trainings")

    @property
    def measurement(self) -> Measurement:
        """The mean over replicates with its 95 % interval."""
        count, definition = len(self.values), f"paired.{self.scale}.v1"
        mean = from_scale(float(self.values.mean()), self.scale)
        if self.reason:
            return Measurement(mean, None, None, count, definition, f"none: {self.reason}")
        low, high = (from_scale(end, self.scale) for end in mean_interval(self.values))
        return Measurement(mean, low, high, count, definition, f"{NAME} 95% over {count} pairs of trainings")

    @property
    def p(self) -> float | None:
        """Two-sided p-value of no difference; None without interval."""
        return None if self.reason else p_value(self.values)

    def equivalence_p(self, margin: float) -> float | None:
        """Return the p-value of "the difference is as large as `margin`, or larger" (two one-sided tests).

        Parameters
        ----------
        margin
            Above 0 for differences; for ratios above 1, and its inverse is the other end.

        References
        ----------
        D. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987) 657.
        """
        if margin <= neutral(self.scale):
            raise ConfigError(f"a margin of equivalence is above {neutral(self.scale):g}, got {margin:g}")
        if self.reason:
            return None
        end = float(to_scale(np.array(margin), self.scale))
        return max(one_sided(self.values, null=-end)[0], one_sided(self.values, null=end)[1])


def paired_trainings(
    plus: Sequence[Values], minus: Sequence[Values], *, scale: Scale = "difference"
) -> PairedTrainings:
    """Contrast arms replicate by replicate: the mean of `plus` less the mean of `minus`.

    Parameters
    ----------
    plus, minus
        For each arm one value per replicate, in the same order; None is an undefined rejection.

    Examples
    --------
    >>> trainings = paired_trainings([[0.93, 0.94, 0.95]], [[0.90, 0.90, 0.90]])
    >>> round(trainings.measurement.value, 3), trainings.measurement.n
    (0.04, 3)
    """
    lengths = {len(values) for values in (*plus, *minus)}
    if not plus or not minus or len(lengths) != 1 or lengths == {0}:
        raise ConfigError(
            "paired trainings need arms on both sides and as many values for each, got "
            f"{[len(values) for values in plus]} and {[len(values) for values in minus]}"
        )
    with np.errstate(invalid="ignore"):
        return PairedTrainings(_mean(plus, scale) - _mean(minus, scale), scale)


def _mean(arms: Sequence[Values], scale: Scale) -> FloatArray:
    """Return the mean over arms for each replicate; an undefined rejection is larger than any number."""
    numbers = np.array([[np.inf if value is None else value for value in arm] for arm in arms], float)
    mean: FloatArray = to_scale(numbers, scale).mean(axis=0)
    return mean


def excludes(measurement: Measurement, value: float) -> bool:
    """Tell whether the interval exists on the side that matters and leaves `value` out.

    An interval of no width, from equal values, resolves nothing.

    >>> excludes(Measurement(0.2, 0.1, None, 9, "", ""), 0.0)
    True
    """
    if measurement.low is not None and measurement.low == measurement.high:
        return False
    above = measurement.low is not None and measurement.low > value
    below = measurement.high is not None and measurement.high < value
    return above or below
