"""The three terms of VICReg: vectors that belong together agree, each number varies, no two of them
together."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.objectives.together import StepRows

EPSILON = 1e-4
"""Added to a variance before its root, whose slope is infinite at 0; as in the authors' code of
2105.04906."""


def invariance(rows: StepRows) -> Tensor:
    """Return the mean squared distance of a vector to the others of its identity, per number of the vector.

    The mean is over all vectors that have others, by weight; 0 where none has.
    """
    _, group_V = rows.identity_V.unique(return_inverse=True)  # type: ignore[no-untyped-call]
    groups = int(group_V.max()) + 1 if len(rows) else 0
    weight_G = _sum(rows.weights_V, group_V, groups)
    mean_GE = _sum(rows.vectors_VE * rows.weights_V[:, None], group_V, groups) / weight_G[:, None]
    from_mean_V = (rows.vectors_VE - mean_GE[group_V]).square().mean(1)
    spread_G = _sum(from_mean_V * rows.weights_V, group_V, groups)
    several_V = group_V.bincount(minlength=groups)[group_V] > 1
    others_V = torch.where(several_V, weight_G[group_V] - rows.weights_V, 1.0)
    distance_V = (weight_G[group_V] * from_mean_V + spread_G[group_V]) / others_V
    weights_V = rows.weights_V * several_V
    return (weights_V * distance_V).sum() / weights_V.sum().clamp(min=torch.finfo(weights_V.dtype).tiny)


def variance(rows: StepRows) -> Tensor:
    """Return by how much the standard deviation of each number falls short of 1, the mean over all numbers.

    Of the vectors of each branch alone, and the mean over branches.
    """
    covariances = _covariances(rows)
    if not covariances:
        return rows.vectors_VE.sum() * 0
    short = [F.relu(1 - (matrix_EE.diagonal() + EPSILON).sqrt()).mean() for matrix_EE in covariances]
    return torch.stack(short).mean()


def covariance(rows: StepRows) -> Tensor:
    """Return twice the squares of the covariances of different numbers of a vector, their sum over E.

    Of the vectors of each branch alone, and the mean over branches; with two branches it is their sum, as in
    2105.04906.
    """
    covariances = _covariances(rows)
    if not covariances:
        return rows.vectors_VE.sum() * 0
    size = rows.vectors_VE.shape[1]
    diagonal_EE = torch.eye(size, dtype=torch.bool, device=rows.vectors_VE.device)
    squares = [matrix_EE.masked_fill(diagonal_EE, 0.0).square().sum() / size for matrix_EE in covariances]
    return 2 * torch.stack(squares).mean()


def _covariances(rows: StepRows) -> list[Tensor]:
    """Return the unbiased covariance matrix, (E, E), of each branch that has two vectors at least."""
    branches = [rows.branch_V == branch for branch in rows.branch_V.unique()]  # type: ignore[no-untyped-call]
    return [
        _covariance(rows.vectors_VE[branch], rows.weights_V[branch])
        for branch in branches
        if branch.sum() > 1
    ]


def _covariance(vectors_VE: Tensor, weights_V: Tensor) -> Tensor:
    total = weights_V.sum()
    centred_VE = vectors_VE - (weights_V @ vectors_VE) / total
    return (centred_VE * weights_V[:, None]).T @ centred_VE / (total - weights_V.square().sum() / total)


def _sum(values: Tensor, group_V: Tensor, groups: int) -> Tensor:
    return values.new_zeros(groups, *values.shape[1:]).index_add(0, group_V, values)
