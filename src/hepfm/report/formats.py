"""How numbers are written for people."""

from __future__ import annotations

import math

from hepfm.metrics.trainings import Scale


def number(value: float | None, scale: Scale) -> str:
    """Return a metric for people: four decimals, or three significant digits for a rejection.

    >>> number(0.98765, "difference"), number(1234.5, "ratio"), number(None, "ratio")
    ('0.9877', '1,230', 'none')
    """
    if value is None:
        return "none"
    if scale == "difference":
        return f"{value:.4f}"
    return significant(value)


def significant(value: float, digits: int = 3) -> str:
    """Return a number with some significant digits and no exponent below a million.

    >>> significant(0.012345), significant(98765.0), significant(2.0), significant(math.nan)
    ('0.0123', '98,800', '2.00', 'nan')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = max(0, digits - 1 - int(f"{rounded:e}".split("e")[1]))
    return f"{rounded:,.{decimals}f}"


def interval(low: float | None, high: float | None, scale: Scale) -> str:
    """Return an interval for people; an open end says so.

    >>> interval(1.5, None, "ratio")
    'above 1.50'
    """
    if low is None and high is None:
        return "none"
    if high is None:
        return f"above {number(low, scale)}"
    if low is None:
        return f"below {number(high, scale)}"
    return f"{number(low, scale)} to {number(high, scale)}"


def p_value(p: float | None) -> str:
    """Return a p-value for people.

    >>> p_value(0.0312), p_value(0.00002), p_value(None)
    ('0.031', '< 0.0001', 'none')
    """
    if p is None:
        return "none"
    return "< 0.0001" if p < 1e-4 else significant(p, 2)


def labels_text(budget: int | None) -> str:
    """Return a number of labels for a column of its own.

    >>> labels_text(1000), labels_text(None)
    ('1,000', 'all')
    """
    return "all" if budget is None else f"{budget:,}"
