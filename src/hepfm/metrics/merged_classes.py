"""Metrics of one class against several others taken together: one-vs-rest areas, and rejections of a union.

``auc.one_vs_rest.v1``: the area under the ROC curve of one class against all other rows, score p_c: the same
as scikit-learn's ``roc_auc_score`` of "is of this class". A rejection of several background classes together
follows the definition of `hepfm.metrics.rejection` with p_B the sum of their probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence

from hepfm.metrics.auc import binary_auc_statistic
from hepfm.metrics.bootstrap import RESAMPLES, Statistic, bootstrap_measurement
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import Predictions
from hepfm.metrics.rejection import rejection, rejection_statistic

ONE_VS_REST_DEFINITION = "auc.one_vs_rest.v1"


def one_vs_rest_auc_statistic(predictions: Predictions, *, signal: str) -> Statistic:
    """Return the area of one class against all other rows as a function of row weights."""
    rest = f"not {signal}"
    merged = predictions.merged(rest, [other for other in predictions.classes if other != signal])
    return binary_auc_statistic(merged, signal=signal, background=rest)


def one_vs_rest_auc(
    predictions: Predictions, *, signal: str, resamples: int = RESAMPLES, seed: int = 0
) -> Measurement:
    """Measure the area under the ROC curve of one class against all other rows, with its bootstrap interval.

    Raises
    ------
    DataError
        When no row is of the class, or all are.
    """
    return bootstrap_measurement(
        one_vs_rest_auc_statistic(predictions, signal=signal),
        predictions.row_weights,
        definition=ONE_VS_REST_DEFINITION,
        resamples=resamples,
        seed=seed,
        groups=predictions.groups,
    )


def joint_rejection_statistic(
    predictions: Predictions, *, signal: str, backgrounds: Sequence[str], efficiency: float
) -> Statistic:
    """Return the rejection of the union of some background classes as a function of row weights."""
    merged, union = _union(predictions, backgrounds)
    return rejection_statistic(merged, signal=signal, background=union, efficiency=efficiency)


def joint_rejection(
    predictions: Predictions, *, signal: str, backgrounds: Sequence[str], efficiency: float
) -> Measurement:
    """Measure the rejection of the union of some background classes; rows of other classes do not enter."""
    merged, union = _union(predictions, backgrounds)
    return rejection(merged, signal=signal, background=union, efficiency=efficiency)


def _union(predictions: Predictions, backgrounds: Sequence[str]) -> tuple[Predictions, str]:
    union = " or ".join(backgrounds)
    return predictions.merged(union, backgrounds), union
