"""Padding-free layout: the real constituents of all rows, one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.nn.kernels.gather import pack_rows, split_heads, unpack_rows
from hepfm.nn.kernels.switch import kernels_allowed
from hepfm.nn.tracing import is_traced


def rows_to_add(count: int) -> int:
    """Return how many empty rows, a few per cent, bring `count` to one of few different sizes.

    oneDNN prepares a kernel for every new size, and the number of constituents or pairs differs in every
    batch.
    """
    step = max(64, 1 << max(count.bit_length() - 5, 0))
    return -count % step


@dataclass(frozen=True)
class Packing:
    """Places of the T rows of the packed layout in the padded one.

    Attributes
    ----------
    mask_BN
        True = real.
    index_M
        Flat positions of the M real constituents. None keeps the padding, as compilers and exporters need.
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
        empty = rows_to_add(count)
        if kernels_allowed():
            return pack_rows(x_SC, self.index_M, count + empty)
        return F.pad(x_SC[self.index_M], (0, 0, 0, empty))

    def unpack(self, x_TC: Tensor) -> Tensor:
        """Return the padded layout, (B, N, C)."""
        return self._unpacked(x_TC).view(*self.mask_BN.shape, -1)

    def _unpacked(self, x_TC: Tensor) -> Tensor:
        if self.index_M is None:
            return x_TC
        slots = self.mask_BN.numel()
        if kernels_allowed():
            return unpack_rows(x_TC, self.index_M, slots)
        x_MC = x_TC[: len(self.index_M)]
        return x_TC.new_zeros(slots, x_TC.shape[1]).index_copy(0, self.index_M, x_MC)

    def heads(self, x_TC: Tensor, *, parts: int, heads: int) -> Tensor:
        """Return the padded layout with each row cut into parts and heads, (parts, B, heads, N, K).

        Values in padding are finite but arbitrary; they pass no gradient.
        """
        rows, length = self.mask_BN.shape
        if self.index_M is not None and len(self.index_M) and kernels_allowed():
            shape = torch.Size((parts, rows, heads, length, x_TC.shape[1] // (parts * heads)))
            return split_heads(x_TC, self.index_M, shape)
        x_BNC = self.unpack(x_TC)
        return x_BNC.view(rows, length, parts, heads, -1).permute(2, 0, 3, 1, 4).contiguous()
