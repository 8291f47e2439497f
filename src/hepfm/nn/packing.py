"""Padding-free layout: the real constituents of all rows, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.nn.linear import is_traced


def rows_to_add(count: int) -> int:
    """Return how many empty rows, a few per cent, bring `count` to one of few different sizes.

    oneDNN prepares a kernel for every new size, and the number of constituents or pairs is new in every
    batch.
    """
    step = max(64, 1 << max(count.bit_length() - 5, 0))
    return -count % step


class _Pack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_SC: Tensor, index_M: Tensor, total: int) -> Tensor:
        ctx.save_for_backward(index_M)
        ctx.slots = x_SC.shape[0]
        return F.pad(x_SC.index_select(0, index_M), (0, 0, 0, total - len(index_M)))

    @staticmethod
    def backward(ctx: Any, grad_TC: Tensor) -> tuple[Tensor, None, None]:
        (index_M,) = ctx.saved_tensors
        grad_SC = grad_TC.new_zeros(ctx.slots, grad_TC.shape[1])
        return grad_SC.index_copy_(0, index_M, grad_TC[: len(index_M)]), None, None


class _Unpack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_TC: Tensor, index_M: Tensor, slots: int) -> Tensor:
        ctx.save_for_backward(index_M)
        ctx.total = x_TC.shape[0]
        return x_TC.new_zeros(slots, x_TC.shape[1]).index_copy_(0, index_M, x_TC[: len(index_M)])

    @staticmethod
    def backward(ctx: Any, grad_SC: Tensor) -> tuple[Tensor, None, None]:
        (index_M,) = ctx.saved_tensors
        packed = grad_SC.index_select(0, index_M)
        return F.pad(packed, (0, 0, 0, ctx.total - len(index_M))), None, None


@dataclass(frozen=True)
class Packing:
    """Where the T rows of the packed layout stand in the padded one.

    Attributes
    ----------
    mask_BN
        True = real.
    index_M
        Flat positions of the M real constituents. None keeps the padding, as compilers and exporters want it.
    """

    mask_BN: Tensor
    index_M: Tensor | None

    @classmethod
    def of(cls, mask_BN: Tensor) -> Packing:
        """Return the packing of a mask."""
        return cls(mask_BN, None if is_traced() else mask_BN.flatten().nonzero()[:, 0])

    @property
    def real_T(self) -> Tensor:
        """True where a packed row is a constituent; the last few may be empty."""
        if self.index_M is None:
            return self.mask_BN.flatten()
        count = len(self.index_M)
        return torch.arange(count + rows_to_add(count), device=self.mask_BN.device) < count

    def pack(self, x_BNC: Tensor) -> Tensor:
        """Return the packed rows, (T, C)."""
        x_SC = x_BNC.flatten(0, 1)
        if self.index_M is None:
            return x_SC
        count = len(self.index_M)
        x_TC: Tensor = _Pack.apply(x_SC, self.index_M, count + rows_to_add(count))  # type: ignore[no-untyped-call]
        return x_TC

    def unpack(self, x_TC: Tensor) -> Tensor:
        """Return the padded layout, (B, N, C)."""
        if self.index_M is not None:
            x_TC = _Unpack.apply(x_TC, self.index_M, self.mask_BN.numel())  # type: ignore[no-untyped-call]
        return x_TC.view(*self.mask_BN.shape, -1)
