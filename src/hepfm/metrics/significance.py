"""Significance improvement eps_S / sqrt(eps_B) at a fixed background efficiency, for searches.

``significance_improvement.v1``: on rows of the signal and the background class only, the score is
p_S / (p_S + p_B). The threshold is the lowest at which the fraction of background rows above it is at most
eps_B, with no interpolation; the improvement is the fraction of signal rows above it over the square root of
eps_B, the one that was asked for. Random scores give sqrt(eps_B). ``signal_efficiency.v1`` is that fraction
of signal rows itself.
"""

from __future__ import annotations

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.metrics.bootstrap import RESAMPLES, Statistic, bootstrap_measurement
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, Predictions

DEFINITION = "significance_improvement.v1"
EFFICIENCY_DEFINITION = "signal_efficiency.v1"

_ROUNDING = 1e-12
"""Relative slack of the target: 0.01 of 100 rows is 1 row, whatever the floating-point product says."""


def signal_efficiency_statistic(
    predictions: Predictions, *, signal: str, background: str, efficiency: float
) -> Statistic:
    """Return the signal efficiency at a background efficiency as a function of row weights."""
    score = -predictions.log_ratio(signal, background)  # falling scores: the best come first
    rows_s, rows_b = predictions.rows_of(signal), predictions.rows_of(background)
    rows_b = rows_b[np.argsort(score[rows_b], kind="stable")]
    rows_s = rows_s[np.argsort(score[rows_s], kind="stable")]
    with_ties = np.searchsorted(score[rows_b], score[rows_b], side="right") - 1
    better = np.searchsorted(score[rows_s], score[rows_b], side="left")

    def statistic(weights: FloatArray) -> float:
        passed_s, passed_b = np.cumsum(weights[rows_s]), np.cumsum(weights[rows_b])
        if passed_s[-1] <= 0 or passed_b[-1] <= 0:
            return float("nan")
        too_many = passed_b[with_ties] > efficiency * passed_b[-1] * (1 + _ROUNDING)
        # Efficiencies do not rise steadily with negative weights: the first one from the top counts.
        count = int(better[np.argmax(too_many)]) if too_many.any() else len(rows_s)
        return float(passed_s[count - 1] / passed_s[-1]) if count else 0.0

    return statistic


def signal_efficiency(
    predictions: Predictions,
    *,
    signal: str,
    background: str,
    efficiency: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Measurement:
    """Measure the signal efficiency at background efficiency `efficiency`, with a bootstrap over all rows.

    See `significance_improvement`.
    """
    _check(efficiency)
    statistic = signal_efficiency_statistic(
        predictions, signal=signal, background=background, efficiency=efficiency
    )
    return bootstrap_measurement(
        statistic,
        predictions.row_weights,
        definition=EFFICIENCY_DEFINITION,
        resamples=resamples,
        seed=seed,
        groups=predictions.groups,
    )


def significance_improvement_statistic(
    predictions: Predictions, *, signal: str, background: str, efficiency: float
) -> Statistic:
    """Return the improvement as a function of row weights."""
    passed = signal_efficiency_statistic(
        predictions, signal=signal, background=background, efficiency=efficiency
    )
    return lambda weights: passed(weights) / efficiency**0.5


def significance_improvement(
    predictions: Predictions,
    *,
    signal: str,
    background: str,
    efficiency: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Measurement:
    """Measure eps_S / sqrt(eps_B) at background efficiency `efficiency`, with a bootstrap over all rows.

    Each resample finds its own threshold. `n` is the number of rows.

    Raises
    ------
    ConfigError
        For an efficiency that is none.
    DataError
        When a class has no rows, or no weight.
    """
    _check(efficiency)
    statistic = significance_improvement_statistic(
        predictions, signal=signal, background=background, efficiency=efficiency
    )
    return bootstrap_measurement(
        statistic,
        predictions.row_weights,
        definition=DEFINITION,
        resamples=resamples,
        seed=seed,
        groups=predictions.groups,
    )


def _check(efficiency: float) -> None:
    if not 0 < efficiency < 1:
        raise ConfigError(f"a background efficiency lies between 0 and 1, got {efficiency}")
