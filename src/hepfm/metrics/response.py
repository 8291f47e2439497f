"""Response of a regression: predicted over true, its median's distance from one and its relative width.

``response_bias.v1``: |median - 1|. ``response_iqr.v1``: (75 % - 25 % quantile) / median, as 2503.19165 quotes
the resolution of a tau's visible momentum.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.rng import numpy_generator
from hepfm.metrics.bootstrap import RESAMPLES
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray


def bias(response: FloatArray) -> float:
    """Return |median - 1|."""
    return float(abs(np.median(response) - 1))


def relative_iqr(response: FloatArray) -> float:
    """Return the interquartile range over the median.

    >>> relative_iqr(np.array([0.5, 1.0, 1.0, 1.5]))
    0.25
    """
    low, middle, high = np.percentile(response, [25, 50, 75])
    return float((high - low) / middle)


def response_measurement(
    response: FloatArray, statistic: Callable[[FloatArray], float], *, definition: str, seed: int = 0
) -> Measurement:
    """Measure a statistic of responses with the 68 % interval of a bootstrap over rows.

    Raises
    ------
    DataError
        When there is no row.
    """
    n = len(response)
    if n == 0:
        raise DataError("no row to measure the response of")
    rng = numpy_generator(seed, "metrics.response")
    draws = [statistic(response[rng.integers(0, n, n)]) for _ in range(RESAMPLES)]
    low, high = np.percentile(draws, [15.865, 84.135])
    return Measurement(
        statistic(response), float(low), float(high), n, definition, f"bootstrap 68% ({RESAMPLES})"
    )
