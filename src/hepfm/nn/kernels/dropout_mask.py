"""Factors of dropout from 16 random bits per element.

One 64-bit number of torch's generator of the device serves four elements; drawing a float for each, as
`torch.nn.functional.dropout` does, takes a large part of a small network's time on a CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

LEVELS = 1 << 16
"""Probabilities are multiples of one over this."""


def dropout_mask(shape: torch.Size, like: Tensor, rate: float) -> Tensor:
    """Draw factors: 0 with the probability `rate`, else 1 / (1 - rate); type and device are those of `like`.

    `rate` must be a multiple of 1 / `LEVELS`, so that the mean of the factors is 1.
    """
    keep = 1.0 - rate
    count = shape.numel()
    bits = torch.empty((count + 3) // 4, dtype=torch.int64, device=like.device).random_(-(2**63), None)
    mask = torch.empty(shape, dtype=like.dtype, device=like.device)
    torch.lt(bits.view(torch.int16)[:count].view(shape), round((keep - 0.5) * LEVELS), out=mask)
    return mask.mul_(1.0 / keep)
