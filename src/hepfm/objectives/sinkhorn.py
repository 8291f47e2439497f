"""Sinkhorn-Knopp: rows shared out among prototypes so that each prototype gets the same."""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 3


@torch.no_grad()
def sinkhorn(logits_RK: Tensor, weights_R: Tensor) -> Tensor:
    """Return probabilities (R, K) whose weighted sum over rows is nearly equal for all K (2006.09882).

    Parameters
    ----------
    logits_RK
        Over the temperature.
    weights_R
        How much a row counts; one of 0 has no part in it, and gets what the others make of its logits.
    """
    log_RK = logits_RK.log_softmax(-1)
    log_weights_R = weights_R.clamp(min=0).log()
    for _ in range(ITERATIONS):
        log_RK = log_RK - (log_RK + log_weights_R[:, None]).logsumexp(0)
        log_RK = log_RK - log_RK.logsumexp(1, keepdim=True)
    return log_RK.exp()
