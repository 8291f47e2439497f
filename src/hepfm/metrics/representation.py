"""How good an embedding is, from a few hundred rows: its rank, its spread, and what a probe reads off it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

LEAST_RANK = 2.0
"""Effective rank below which an embedding has collapsed: all rows lie on a line."""
LEAST_SPREAD = 1e-4
"""Fraction of the variance in the mean square below which it has: all rows have nearly the same vector."""
_RIDGE = 1e-2
_WITHIN = 1e-4


@dataclass(frozen=True)
class Spread:
    """How far the vectors of rows are from being one vector, or on one line.

    Attributes
    ----------
    rankme
        Effective rank, the exponential of the entropy of the normalised singular values (RankMe, 2210.02885),
        of vectors minus their mean: a mean common to all rows would hide all others.
    spread
        Variance over mean square, in [0, 1].
    """

    rankme: float
    spread: float

    @property
    def collapsed(self) -> bool:
        """Whether it is below `LEAST_RANK` or `LEAST_SPREAD`; also for vectors that are not finite."""
        return not (self.rankme >= LEAST_RANK and self.spread >= LEAST_SPREAD)


def spread(vectors_RD: Floats) -> Spread:
    """Return rank and spread of the vectors of R rows, (R, D)."""
    vectors = np.asarray(vectors_RD, np.float64)
    if not np.isfinite(vectors).all():
        return Spread(float("nan"), float("nan"))
    centred = vectors - vectors.mean(0)
    size = float(np.square(vectors).mean())
    fraction = float(np.square(centred).mean()) / size if size else 0.0
    return Spread(_effective_rank(np.linalg.svd(centred, compute_uv=False)), fraction)


def _effective_rank(values: Floats) -> float:
    total = float(values.sum())
    if total <= 0:
        return 0.0
    fractions = values / total + 1e-7
    return float(np.exp(-(fractions * np.log(fractions)).sum()))


def lidar(vectors_RQD: Floats) -> float:
    """Return LiDAR (2312.04000): the effective rank of what tells R rows apart, given Q views of each.

    The eigenvalues are those of the scatter between rows in units of that within rows.
    """
    vectors = np.asarray(vectors_RQD, np.float64)
    means = vectors.mean(1)
    within = (vectors - means[:, None]).reshape(-1, vectors.shape[-1])
    scatter = within.T @ within / max(len(within) - len(means), 1)
    scatter += _WITHIN * np.eye(len(scatter))
    between = np.cov(means.T, bias=False)
    values, axes = np.linalg.eigh(scatter)
    whiten = axes / np.sqrt(values)
    return _effective_rank(np.clip(np.linalg.eigvalsh(whiten.T @ between @ whiten), 0, None))


def probe_accuracy(
    train_RD: Floats, train_label_R: npt.NDArray[np.int64], vectors_SD: Floats, label_S: npt.NDArray[np.int64]
) -> float:
    """Return the accuracy of a linear probe: ridge regression of the classes on standardised vectors."""
    centre, scale = train_RD.mean(0), train_RD.std(0) + 1e-6
    train, test = (np.column_stack([(x - centre) / scale, np.ones(len(x))]) for x in (train_RD, vectors_SD))
    classes = int(max(train_label_R.max(), label_S.max())) + 1
    gram = train.T @ train + _RIDGE * len(train) * np.eye(train.shape[1])
    weights = np.linalg.solve(gram, train.T @ np.eye(classes)[train_label_R])
    return float(((test @ weights).argmax(1) == label_S).mean())
