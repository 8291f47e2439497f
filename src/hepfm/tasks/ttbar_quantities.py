"""What is measured of reconstructed top pairs: errors of their quantities, and statistics of these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.core.ragged import Array
from hepfm.metrics.predictions import FloatArray
from hepfm.metrics.residuals import residual_bias, residual_width
from hepfm.metrics.response import RowStatistic, bias, percentiles, relative_iqr
from hepfm.physics.kinematics import mass_of, rapidity
from hepfm.tasks.base import TaskMetric

MASS = "mtt"


def relative_spread(response: FloatArray, weights: FloatArray | None = None) -> float:
    """Return the standard deviation over the mean, by weight.

    >>> relative_spread(np.array([1.0, 3.0]))
    0.5
    """
    mean = np.average(response, weights=weights)
    return float(np.sqrt(np.average((response - mean) ** 2, weights=weights)) / mean)


def relative_width(response: FloatArray, weights: FloatArray | None = None) -> float:
    """Return half the width of the central 68.27 % over the median, by weight."""
    return residual_width(response, weights) / float(percentiles(response, [50], weights)[0])


@dataclass(frozen=True)
class TopPairMetric:
    """A statistic of the errors of one quantity.

    Attributes
    ----------
    metric
        What a task says of it.
    quantity
        Name of the quantity.
    statistic
        From errors to a number.
    """

    metric: TaskMetric
    quantity: str
    statistic: RowStatistic


def _metric(name: str, title: str, quantity: str, statistic: RowStatistic) -> TopPairMetric:
    return TopPairMetric(TaskMetric(name=name, title=title, better="lower"), quantity, statistic)


METRICS = (
    # Widths of reco/true are relative: masses that are all too small have narrow ones, and are no better.
    _metric("mtt_width", "m(tt): 68 % half-width of reco/true over its median", MASS, relative_width),
    _metric("mtt_iqr", "m(tt): IQR of reco/true over its median", MASS, relative_iqr),
    _metric("mtt_std", "m(tt): standard deviation of reco/true over its mean", MASS, relative_spread),
    _metric("mtt_bias", "m(tt): |median of reco/true - 1|", MASS, bias),
    _metric("top_pt_width", "pT of tops: 68 % half-width of reco - true [GeV]", "top_pt", residual_width),
    _metric("top_pt_bias", "pT of tops: |median of reco - true| [GeV]", "top_pt", residual_bias),
    _metric("top_y_width", "rapidity of tops: 68 % half-width of reco - true", "top_y", residual_width),
    _metric("top_y_bias", "rapidity of tops: |median of reco - true|", "top_y", residual_bias),
    *(
        _metric(
            f"nu_{axis}_width",
            f"p{axis[-1]} of neutrinos: 68 % half-width of reco - true [GeV]",
            f"nu_{axis}",
            residual_width,
        )
        for axis in ("px", "py", "pz")
    ),
)


def quantities(bottoms: Array, leptons: Array, neutrinos: Array) -> dict[str, Array]:
    """Return the quantities of top pairs, (R, 1) of the pair or (R, 2) of top and antitop.

    Parameters
    ----------
    bottoms, leptons, neutrinos
        (E, px, py, pz) in GeV of the daughters of top and antitop, (R, 2, 4).
    """
    tops = bottoms + leptons + neutrinos
    return {
        MASS: mass_of(tops.sum(1))[:, None],
        "top_pt": np.hypot(tops[..., 1], tops[..., 2]),
        "top_y": rapidity(tops[..., 3], tops[..., 0]),
        **{f"nu_{axis}": neutrinos[..., k] for k, axis in enumerate(("px", "py", "pz"), start=1)},
    }


def errors(predicted: dict[str, Array], truth: dict[str, Array]) -> dict[str, Array]:
    """Return predicted over true mass, and predicted less true for all else."""
    return {
        name: values / truth[name] if name == MASS else values - truth[name]
        for name, values in predicted.items()
    }
