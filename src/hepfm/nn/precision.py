"""Precision of tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_single(x: Tensor) -> Tensor:
    """Return a tensor in single precision at least; of integers too."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
