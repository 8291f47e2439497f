"""Clopper-Pearson intervals of efficiencies."""

from __future__ import annotations

from scipy.special import betaincinv

from hepfm.core.errors import ConfigError
from hepfm.metrics.bootstrap import ONE_SIGMA


def clopper_pearson(passed: float, total: float, *, level: float = ONE_SIGMA) -> tuple[float, float]:
    """Return the central interval of an efficiency `passed` / `total`; it covers at least `level`.

    Parameters
    ----------
    passed, total
        Counts; with weights the effective ones, ``n_eff = (sum w)^2 / sum w^2``, which need not be whole.
    level
        Central probability, e.g. 0.6827.

    Notes
    -----
    C. Clopper and E. Pearson, Biometrika 26 (1934) 404. The ends are 0 and 1 where none, or all, pass.

    Examples
    --------
    >>> low, high = clopper_pearson(0, 100, level=0.95)
    >>> low, round(high, 4)
    (0.0, 0.0362)
    """
    _check(passed, total, level)
    tail = (1 - level) / 2
    low = float(betaincinv(passed, total - passed + 1, tail)) if passed > 0 else 0.0
    high = float(betaincinv(passed + 1, total - passed, 1 - tail)) if passed < total else 1.0
    return low, high


def upper_limit(passed: float, total: float, *, level: float = 0.95) -> float:
    """Return the one-sided upper limit of an efficiency; about 3 / `total` at 95 % when none passes.

    >>> round(1 / upper_limit(0, 3000))
    1002
    """
    _check(passed, total, level)
    return float(betaincinv(passed + 1, total - passed, level)) if passed < total else 1.0


def _check(passed: float, total: float, level: float) -> None:
    if not 0 <= passed <= total or total <= 0:
        raise ConfigError(f"an efficiency needs 0 <= passed <= total and total > 0, got {passed} of {total}")
    if not 0 < level < 1:
        raise ConfigError(f"the level of an interval lies between 0 and 1, got {level}")


KINDS = {
    "bootstrap": "statistical uncertainty",
    "clopper-pearson": "statistical uncertainty",
    "fit uncertainty": "fit uncertainty",
    "spread of": "spread of batches",
}
"""How the text of `Measurement.interval` begins, and what such an interval is. Only a statistical uncertainty
says how the number would move with other rows."""


def kind_of_interval(interval: str) -> str:
    """Return what an interval is, from the text that says how it was made; the text itself if unknown.

    >>> kind_of_interval("spread of 5 batches of 50000, drawn with replacement")
    'spread of batches'
    """
    return next((kind for start, kind in KINDS.items() if interval.startswith(start)), interval)
