"""Holm's correction: p-values of a family of comparisons that are looked at together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return adjusted p-values, in the order given; comparing them with 0.05 keeps the family's error at 5 %.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none becomes smaller than the one
    before. A comparison that gave no p-value (None) still counts as one of the family: it was asked.

    References
    ----------
    S. Holm, Scandinavian Journal of Statistics 6 (1979) 65.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03, None])
    (0.04, 0.09, 0.09, None)
    """
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    factors = np.arange(len(p_values), len(p_values) - len(known), -1)
    raised = np.minimum(1.0, np.maximum.accumulate([p * m for (p, _), m in zip(known, factors, strict=True)]))
    adjusted: list[float | None] = [None] * len(p_values)
    for (_, index), p in zip(known, raised, strict=True):
        adjusted[index] = round(float(p), 12)
    return tuple(adjusted)
