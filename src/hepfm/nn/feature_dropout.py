"""Dropout of whole groups of features, so that a network can be used where they were not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class FeatureDropout(nn.Module):
    """In training set all columns of a group to zero for a row, each group with its own draw; no rescaling.

    As in OmniLearn (2404.16091): data without particle types or impact parameters then look like rows that
    occurred in training.

    Parameters
    ----------
    groups
        Columns of each group.
    rate
        Probability per row and group.
    """

    def __init__(self, groups: Mapping[str, Sequence[int]], rate: float) -> None:
        super().__init__()
        self.groups = tuple(list(columns) for columns in groups.values())
        self.rate = rate

    def forward(self, x_BNF: Tensor) -> Tensor:
        """Return the features with groups dropped in training, unchanged in evaluation."""
        kept_BF = self.draw(x_BNF)
        return x_BNF if kept_BF is None else x_BNF * kept_BF[:, None]

    def draw(self, x_BNF: Tensor) -> Tensor | None:
        """Return 0 for the features of a row that are dropped, 1 for the others; None where all are kept."""
        if not self.training or self.rate == 0.0 or not self.groups:
            return None
        keep_BF = x_BNF.new_ones(x_BNF.shape[0], x_BNF.shape[2])
        for columns in self.groups:
            keep_BF[:, columns] = (torch.rand(x_BNF.shape[0], 1, device=x_BNF.device) >= self.rate).to(
                x_BNF.dtype
            )
        return keep_BF
