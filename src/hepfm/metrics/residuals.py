"""Residuals of a regression, predicted less true, in the unit of the field.

``residual_mae.v1``: mean of |residual|. ``residual_rmse.v1``: root of the mean square. ``residual_bias.v1``:
|median|. ``residual_width.v1``: half of what lies between the 15.87 % and the 84.13 % quantile, one standard
deviation of a normal distribution. With event weights the quantiles are those of the weighted distribution
function, as in `hepfm.metrics.response`.
"""

from __future__ import annotations

import numpy as np

from hepfm.metrics.predictions import FloatArray
from hepfm.metrics.response import percentiles

ONE_SIGMA_PERCENTS = (15.865, 84.135)


def mean_absolute(residual: FloatArray, weights: FloatArray | None = None) -> float:
    """Return the mean of the absolute residuals, by weight.

    >>> mean_absolute(np.array([-1.0, 3.0]))
    2.0
    """
    return float(np.average(np.abs(residual), weights=weights))


def root_mean_square(residual: FloatArray, weights: FloatArray | None = None) -> float:
    """Return the root of the mean square of the residuals, by weight.

    >>> root_mean_square(np.array([-3.0, 3.0]))
    3.0
    """
    return float(np.sqrt(np.average(residual**2, weights=weights)))


def residual_bias(residual: FloatArray, weights: FloatArray | None = None) -> float:
    """Return |median| of the residuals, by weight."""
    return float(abs(percentiles(residual, [50], weights)[0]))


def residual_width(residual: FloatArray, weights: FloatArray | None = None) -> float:
    """Return half the width of the central 68.27 % of the residuals, by weight."""
    low, high = percentiles(residual, list(ONE_SIGMA_PERCENTS), weights)
    return float((high - low) / 2)
