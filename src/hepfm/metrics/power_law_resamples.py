"""A law fitted again to many samples of losses at once, from the law of the sample that they scatter around.

The same minimum as `hepfm.metrics.power_law.fit_power_law` finds for each of them, by damped least squares
(Levenberg-Marquardt) in which points beyond the width of the Huber loss are weighted down; parameters at a
bound stay there while the loss falls towards it. All samples take a step together, which is much faster than
one after the other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hepfm.metrics.power_law import PowerLaw, bounds
from hepfm.metrics.predictions import FloatArray

_STEPS = 200
_TOLERANCE = 1e-7
_LIFTED, _LIFTED_EXPONENT = 0.05, 0.3
"""Part of the loss, and exponent, that a term has in the second start: from nothing it would hardly grow."""
_LEAST_DAMPING, _MOST_DAMPING = 1e-9, 1e9


def fit_again(law: PowerLaw, x_PK: FloatArray, losses_RP: FloatArray, *, huber: float) -> list[PowerLaw]:
    """Return the law of each sample.

    Parameters
    ----------
    law
        Where all start; its points are those of the samples.
    x_PK
        Variables of each training, shape (P, K).
    losses_RP
        Losses of R samples, shape (R, P); above 0.
    huber
        Residual of ln L beyond which it counts linearly.
    """
    ln_x, ln_losses = np.log(x_PK) - np.log(law.reference), np.log(losses_RP)
    count, most = ln_x.shape[1], float(losses_RP.max())
    limits = bounds(most, count)
    lifted = [law.offset, *(max(part, _LIFTED * most) for part in law.parts), *[_LIFTED_EXPONENT] * count]
    found = [
        _Samples(np.clip(start, *limits), ln_x, ln_losses, huber, limits).minimised()
        for start in (law.vector, np.array(lifted))
    ]
    better = found[1].cost < found[0].cost
    vectors = np.where(better[:, None], found[1].vectors, found[0].vectors)
    return [
        PowerLaw(float(one[0]), _numbers(one[1 : 1 + count]), _numbers(one[1 + count :]), law.reference)
        for one in vectors
    ]


def _numbers(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


class _Samples:
    """The search for the minimum of each sample; V parameters each.

    Attributes
    ----------
    vectors
        Parameters, shape (R, V).
    cost
        Huber loss, shape (R,).
    """

    def __init__(
        self,
        start: FloatArray,
        ln_x_PK: FloatArray,
        ln_losses_RP: FloatArray,
        huber: float,
        limits: tuple[FloatArray, FloatArray],
    ) -> None:
        self.ln_x_PK, self.ln_losses_RP, self.huber, self.limits = ln_x_PK, ln_losses_RP, huber, limits
        self.vectors = np.tile(start, (len(ln_losses_RP), 1))
        self.damping = np.full(len(self.vectors), 1e-3)
        self.away, self.slopes = _residuals(self.vectors, ln_x_PK, ln_losses_RP)
        self.cost = _cost(self.away, huber)

    def minimised(self) -> _Samples:
        """Take steps until no sample gains by one."""
        open_ = np.arange(len(self.vectors))
        for _ in range(_STEPS):
            open_ = self._stepped(open_)
            if not len(open_):
                break
        return self

    def _stepped(self, at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Let some samples take a step; return those of them that are not at their minimum yet."""
        step = _step(
            self.vectors[at], self.away[at], self.slopes[at], self.damping[at], self.huber, self.limits
        )
        trial = np.clip(self.vectors[at] + step, *self.limits)
        away, slopes = _residuals(trial, self.ln_x_PK, self.ln_losses_RP[at])
        cost, before = _cost(away, self.huber), self.cost[at]
        better = cost < before
        gained = at[better]
        self.vectors[gained], self.away[gained], self.slopes[gained] = (
            trial[better],
            away[better],
            slopes[better],
        )
        self.cost[gained] = cost[better]
        damping = np.where(better, self.damping[at] / 5, self.damping[at] * 5)
        self.damping[at] = np.maximum(damping, _LEAST_DAMPING)
        done = (better & (before - cost <= _TOLERANCE * before)) | (damping > _MOST_DAMPING)
        return at[~done]


def _residuals(
    vectors_RV: FloatArray, ln_x_PK: FloatArray, ln_losses_RP: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return ln L of the laws less the losses, shape (R, P), and its derivatives, shape (R, P, V)."""
    count = ln_x_PK.shape[1]
    parts, exponents = vectors_RV[:, None, 1 : 1 + count], vectors_RV[:, None, 1 + count :]
    terms = np.exp(-exponents * ln_x_PK)
    losses = vectors_RV[:, :1] + (parts * terms).sum(axis=2)
    columns = (np.ones((*losses.shape, 1)), terms, -parts * terms * ln_x_PK)
    return np.log(losses) - ln_losses_RP, np.concatenate(columns, axis=2) / losses[..., None]


def _cost(away_RP: FloatArray, huber: float) -> FloatArray:
    size = np.abs(away_RP)
    return np.where(size <= huber, size**2 / 2, huber * (size - huber / 2)).sum(axis=1)


def _step(
    vectors: FloatArray,
    away: FloatArray,
    slopes: FloatArray,
    damping: FloatArray,
    huber: float,
    limits: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """Return a damped step of each sample, shape (R, V); what presses against a bound stands still."""
    weights = huber / np.maximum(np.abs(away), huber)
    gradient = np.einsum("rpv,rp->rv", slopes, weights * away)
    matrix = np.einsum("rpv,rp,rpw->rvw", slopes, weights, slopes, optimize=True)
    still: npt.NDArray[np.bool_] = ((vectors <= limits[0]) & (gradient > 0)) | (
        (vectors >= limits[1]) & (gradient < 0)
    )
    gradient[still] = 0.0
    matrix[still[:, :, None] | still[:, None, :]] = 0.0
    diagonal = np.einsum("rvv->rv", matrix)
    scale = np.where(diagonal > 0, diagonal, 1.0)
    matrix = matrix + np.eye(len(limits[0])) * (damping[:, None] * scale + (diagonal <= 0))[:, None, :]
    return -np.linalg.solve(matrix, gradient[..., None])[..., 0]
