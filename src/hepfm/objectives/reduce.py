"""Means of losses: over constituents of a row, then over rows with their weights."""

from __future__ import annotations

import torch
from torch import Tensor


def constituent_mean(values_BN: Tensor, mask_BN: Tensor) -> Tensor:
    """Return the mean over the constituents of each row that the mask marks, (B,); zero without any."""
    return (values_BN * mask_BN).sum(-1) / mask_BN.sum(-1).clamp(min=1)


def row_mean(values_B: Tensor, weights_B: Tensor | None) -> Tensor:
    """Return the mean over rows, weighted if there are weights; zero if all of them are zero."""
    if weights_B is None:
        return values_B.mean()
    return (values_B * weights_B).sum() / weights_B.sum().clamp(min=torch.finfo(weights_B.dtype).tiny)
