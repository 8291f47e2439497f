"""Resolution: how far a quantity lies from its true value, in quantiles."""

from __future__ import annotations

import numpy as np

from hepfm.metrics.predictions import FloatArray


def resolution(differences: FloatArray) -> dict[str, float]:
    """Return median, interquartile range, and half the central 68 % of differences, and their number.

    >>> resolution(np.array([-1.0, 0.0, 1.0, 2.0, 3.0]))["median"]
    1.0
    """
    if not len(differences):
        return {"median": 0.0, "iqr": 0.0, "half68": 0.0, "n": 0}
    low68, low, median, high, high68 = np.percentile(differences, [15.865, 25, 50, 75, 84.135])
    return {
        "median": float(median),
        "iqr": float(high - low),
        "half68": float(high68 - low68) / 2,
        "n": len(differences),
    }
