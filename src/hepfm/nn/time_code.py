"""Times as numbers that a network can read."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cosine_code(time: Tensor, size: int) -> Tensor:
    """Return ``cos(pi k t)`` for k = 1 to `size`, (..., size); each time in [0, 1] has a code of its own."""
    k = torch.arange(1, size + 1, device=time.device)
    return (math.pi * k * time[..., None]).cos()
