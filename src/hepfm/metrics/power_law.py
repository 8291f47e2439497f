"""Loss against scale: an offset and a falling power of each variable, fitted to losses of trainings.

``L = E + sum over k of A_k / x_k^alpha_k``, with x = (N, D) the form of 2203.15556, Eq. (2). As there, the
Huber loss of residuals of ln L is minimised, from several starts. Every variable is measured in units of its
geometric mean, so that ``parts`` (what a term adds to the loss there) are of the size of losses whatever the
exponents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.metrics.predictions import FloatArray

HUBER = 1e-2
"""Residual of ln L beyond which it counts linearly. 2203.15556 has 1e-3, which makes of trainings that
scatter by half a percent a fit of absolute residuals, with wider intervals
(``docs/data/scaling_coverage.csv``)."""

EXPONENTS = (0.01, 2.0)
"""Range of exponents: below, a term is constant over any range of data; above, it is a step."""

DISTINCT = 3
"""Fewest values of a variable: two points lie on a power law of any offset."""

_STARTS = (0.1, 0.25, 0.5, 1.0, 2.0)
_REFINED = 3
_EVALUATIONS, _TOLERANCE = 100, 1e-6
"""Most evaluations of one start, and relative change that ends it: where a term is hardly there its exponent
drifts without end, and nothing else moves."""


@dataclass(frozen=True)
class PowerLaw:
    """A fitted law of K variables.

    Attributes
    ----------
    offset
        E: the loss that no scale takes away.
    parts
        What each term adds to the loss at `reference`, shape (K,).
    exponents
        alpha_k, shape (K,).
    reference
        Geometric means of the variables that were fitted, shape (K,).
    """

    offset: float
    parts: tuple[float, ...]
    exponents: tuple[float, ...]
    reference: tuple[float, ...]

    @property
    def amplitudes(self) -> tuple[float, ...]:
        """A_k, with the variables in their own units."""
        terms = zip(self.parts, self.reference, self.exponents, strict=True)
        return tuple(part * scale**exponent for part, scale, exponent in terms)

    @property
    def vector(self) -> FloatArray:
        """Offset, parts and exponents, shape (1 + 2K,)."""
        return np.array([self.offset, *self.parts, *self.exponents])

    def loss(self, x_PK: FloatArray) -> FloatArray:
        """Return the loss at some points, shape (P,).

        Examples
        --------
        >>> law = PowerLaw(0.5, (1.0,), (0.5,), (100.0,))
        >>> law.loss(np.array([[100.0], [400.0]])).round(3).tolist()
        [1.5, 1.0]
        >>> law.amplitudes
        (10.0,)
        """
        return _loss(self.vector, np.log(x_PK) - np.log(self.reference))


def fit_power_law(x_PK: FloatArray, losses_P: FloatArray, *, huber: float = HUBER) -> PowerLaw:
    """Return the law that fits best.

    Parameters
    ----------
    x_PK
        Variables of each training, shape (P, K); above 0.
    losses_P
        Its loss, shape (P,); above 0.
    huber
        Residual of ln L beyond which it counts linearly; above 0.

    Raises
    ------
    ConfigError
        For losses or variables that are not positive numbers, and for too few points.
    """
    check_points(x_PK, losses_P)
    if not huber > 0:
        raise ConfigError(f"the width of the Huber loss must be above 0, got {huber:g}")
    reference = np.exp(np.log(x_PK).mean(axis=0))
    ln_x = np.log(x_PK) - np.log(reference)
    fits = [_refined(start, ln_x, losses_P, huber) for start in _starts(ln_x, losses_P)]
    best = min(fits, key=lambda fit: fit[0])[1]
    count = x_PK.shape[1]
    parts, exponents = best[1 : 1 + count], best[1 + count :]
    return PowerLaw(float(best[0]), _numbers(parts), _numbers(exponents), _numbers(reference))


def check_points(x_PK: FloatArray, losses_P: FloatArray) -> None:
    """Refuse what no law can be fitted to, and say which points are wrong."""
    if x_PK.ndim != 2 or losses_P.shape != x_PK.shape[:1]:
        raise ConfigError(
            f"expected variables of shape (P, K) and losses of shape (P,), got {x_PK.shape} and "
            f"{losses_P.shape}"
        )
    for what, values in (("loss", losses_P), *((f"variable {k + 1}", x) for k, x in enumerate(x_PK.T))):
        wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(wrong):
            raise ConfigError(
                f"{what} of point {wrong[0] + 1} is {values[wrong[0]]:g}; a power law is fitted to "
                "logarithms, so all must be finite and above 0: leave the training out, or fit another loss"
            )
    for k, x in enumerate(x_PK.T):
        if (distinct := len(np.unique(x))) < DISTINCT:
            raise ConfigError(
                f"variable {k + 1} has {distinct} different values; a power with an offset needs at least "
                f"{DISTINCT}"
            )
    points, free = len(np.unique(x_PK, axis=0)), 1 + 2 * x_PK.shape[1]
    if points < free:
        raise ConfigError(f"{points} different points cannot determine a law of {free} parameters")


def _numbers(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _loss(vector: FloatArray, ln_x_PK: FloatArray) -> FloatArray:
    count = ln_x_PK.shape[1]
    parts, exponents = vector[1 : 1 + count], vector[1 + count :]
    return vector[0] + (parts * np.exp(-exponents * ln_x_PK)).sum(axis=1)


def _starts(ln_x_PK: FloatArray, losses_P: FloatArray) -> list[FloatArray]:
    """Return the best starts of a grid of exponents; for given ones the rest is linear, and not negative."""
    from scipy.optimize import nnls  # half a second that other verbs need not wait for

    found = []
    for exponents in product(_STARTS, repeat=ln_x_PK.shape[1]):
        terms = np.exp(-np.array(exponents) * ln_x_PK)
        design = np.column_stack((np.ones(len(terms)), terms)) / losses_P[:, None]
        linear, distance = nnls(design, np.ones(len(terms)))
        found.append((distance, np.array([*linear, *exponents])))
    return [start for _, start in sorted(found, key=lambda one: one[0])[:_REFINED]]


def bounds(most: float, count: int) -> tuple[FloatArray, FloatArray]:
    """Return the least and the largest offset, parts and exponents of a law, for losses up to `most`."""
    low = np.array([1e-9 * most, *[1e-9 * most] * count, *[EXPONENTS[0]] * count])
    return low, np.array([most, *[math.inf] * count, *[EXPONENTS[1]] * count])


def _refined(
    start: FloatArray, ln_x_PK: FloatArray, losses_P: FloatArray, huber: float
) -> tuple[float, FloatArray]:
    """Return the Huber loss that is reached from a start, and where."""
    from scipy.optimize import least_squares

    count, ln_losses = ln_x_PK.shape[1], np.log(losses_P)

    def residuals(vector: FloatArray) -> FloatArray:
        return np.log(_loss(vector, ln_x_PK)) - ln_losses

    def jacobian(vector: FloatArray) -> FloatArray:
        parts, exponents = vector[1 : 1 + count], vector[1 + count :]
        terms = np.exp(-exponents * ln_x_PK)
        columns = (np.ones((len(terms), 1)), terms, -parts * terms * ln_x_PK)
        return np.hstack(columns) / _loss(vector, ln_x_PK)[:, None]

    low, high = bounds(float(losses_P.max()), count)
    inside = np.clip(start, low * 1.001, high * 0.999)
    fit = least_squares(
        residuals,
        inside,
        jac=jacobian,
        bounds=(low, high),
        loss="huber",
        f_scale=huber,
        x_scale="jac",
        max_nfev=_EVALUATIONS,
        ftol=_TOLERANCE,
        xtol=_TOLERANCE,
        gtol=_TOLERANCE * huber,
    )
    return float(fit.cost), fit.x


def envelope(compute_C: Sequence[float], losses_C: Sequence[float]) -> tuple[int, ...]:
    """Return the places of the points that no point of at most their compute undercuts, by rising compute.

    Examples
    --------
    >>> envelope([1.0, 2.0, 3.0, 4.0], [0.9, 0.7, 0.8, 0.6])
    (0, 1, 3)
    """
    lowest, places = math.inf, []
    for place in sorted(range(len(losses_C)), key=lambda one: (compute_C[one], losses_C[one])):
        if losses_C[place] < lowest:
            lowest = losses_C[place]
            places.append(place)
    return tuple(places)
