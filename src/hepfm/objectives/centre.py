"""The moving mean of a teacher's logits, which keeps all rows from going to one prototype."""

from __future__ import annotations

import torch
import torch.distributed
from torch import Tensor, nn


class Centre(nn.Module):
    """A weighted mean over all parts and processes of a step, averaged over steps (DINO, 2104.14294).

    Parameters
    ----------
    num_logits
        K.
    """

    mean_K: Tensor

    def __init__(self, num_logits: int) -> None:
        super().__init__()
        self.register_buffer("mean_K", torch.zeros(num_logits))
        # What was added in this step. No buffers: between processes those of the first replace the others'.
        self._sum_K, self._count = torch.zeros(num_logits), torch.zeros(())

    @torch.no_grad()
    def add(self, logits: Tensor, weights: Tensor) -> None:
        """Take in logits (..., K) by their weights (...); what has weight 0, as padding, has no part."""
        weights = weights.to(self.mean_K.dtype)
        self._sum_K = self._sum_K.to(weights) + (logits.to(weights) * weights[..., None]).flatten(0, -2).sum(
            0
        )
        self._count = self._count.to(weights) + weights.sum()

    @torch.no_grad()
    def step(self, momentum: float) -> None:
        """Move towards the mean of what was added since the last step, in all processes; stay without any."""
        sum_K, count = self._sum_K.to(self.mean_K), self._count.to(self.mean_K)
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(sum_K)
            torch.distributed.all_reduce(count)
        if count > 0:
            self.mean_K.lerp_(sum_K / count, 1 - momentum)
        self._sum_K, self._count = torch.zeros_like(sum_K), torch.zeros_like(count)
