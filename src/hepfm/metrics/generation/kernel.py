"""Kernel physics distance: unbiased MMD^2 of features with a polynomial kernel.

``kpd.efp36.v1``: R. Kansal et al., 2211.10295, with the options of the package jetnet. Features are divided
by their largest absolute value in the reference; kernel (x.y / F + 1)^4; ten batches of 5,000 drawn with
replacement; the median is quoted with half the 16-84 % range. It can be negative.
"""

from __future__ import annotations

import numpy as np

from hepfm.core.rng import numpy_generator
from hepfm.metrics.generation.frechet import normalised
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray

DEFINITION = "kpd.efp36.v1"
BATCHES, BATCH_SIZE, DEGREE = 10, 5_000, 4
INTERVAL = f"spread of {BATCHES} batches of {BATCH_SIZE} drawn with replacement (half the 16-84% range)"
_ROWS = 500
"""Rows of the kernel matrix made at a time."""


def kpd(reference: FloatArray, other: FloatArray, *, seed: int = 0) -> Measurement:
    """Measure the kernel physics distance between features of shapes (n, F) and (m, F)."""
    rng = numpy_generator(seed, "metrics.kpd")
    value, error = kpd_of(*normalised(reference, other), rng=rng)
    n = min(len(reference), len(other))
    return Measurement(value, value - error, value + error, n, DEFINITION, INTERVAL)


def kpd_of(reference: FloatArray, other: FloatArray, *, rng: np.random.Generator) -> tuple[float, float]:
    """Return median and half range over batches, of features as they are."""
    values = []
    for _ in range(BATCHES):
        drawn = [_drawn(sample, rng) for sample in (reference, other)]
        values.append(mmd(*drawn[0], *drawn[1]))
    low, middle, high = np.percentile(values, (16.275, 50.0, 83.725))
    return float(middle), float(high - low) / 2


def _drawn(sample: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Draw a batch with replacement: its different rows, and how often each was drawn."""
    counts = np.bincount(rng.choice(len(sample), size=BATCH_SIZE), minlength=len(sample))
    return sample[counts > 0], counts[counts > 0].astype(np.float64)


def mmd(x: FloatArray, count_x: FloatArray, y: FloatArray, count_y: FloatArray) -> float:
    """Return the unbiased quadratic estimate of MMD^2 of rows (n, F), (m, F) with their counts."""
    n, m = count_x.sum(), count_y.sum()
    within_x = _kernel_sum(x, x, count_x, count_x) - count_x @ _diagonal(x)
    within_y = _kernel_sum(y, y, count_y, count_y) - count_y @ _diagonal(y)
    across = _kernel_sum(x, y, count_x, count_y)
    return float(within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * across / (n * m))


def _diagonal(x: FloatArray) -> FloatArray:
    kernel: FloatArray = ((x**2).sum(axis=1) / x.shape[1] + 1) ** DEGREE
    return kernel


def _kernel_sum(x: FloatArray, y: FloatArray, count_x: FloatArray, count_y: FloatArray) -> float:
    """Return the sum of the kernel over all pairs, each counted as often as its rows."""
    total = 0.0
    for start in range(0, len(x), _ROWS):
        part = slice(start, start + _ROWS)
        kernel = x[part] @ y.T
        kernel /= x.shape[1]
        kernel += 1
        kernel *= kernel
        kernel *= kernel
        total += float(count_x[part] @ (kernel @ count_y))
    return total
