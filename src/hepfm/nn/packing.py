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


class _ToHeads(torch.autograd.Function):
    """Padding and the transposition to heads in one gather of rows of K."""

    @staticmethod
    def forward(ctx: Any, x_TC: Tensor, index_M: Tensor, shape: torch.Size) -> Tensor:
        parts, rows, heads, length, head_width = shape
        ctx.save_for_backward(index_M)
        ctx.total = x_TC.shape[0]
        # A slot of padding takes the first row: attention gives it no weight, and its gradient is left out.
        token_S = index_M.new_zeros(rows * length)
        token_S[index_M] = torch.arange(len(index_M), device=index_M.device)
        piece = torch.arange(parts * heads, device=index_M.device).view(parts, 1, heads, 1)
        source = token_S.view(1, rows, 1, length) * (parts * heads) + piece
        return x_TC.view(-1, head_width).index_select(0, source.flatten()).view(shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (index_M,) = ctx.saved_tensors
        parts, rows, heads, length, head_width = grad.shape
        row_M, slot_M = index_M // length, index_M % length
        piece = torch.arange(parts, device=index_M.device)[:, None] * rows
        head = torch.arange(heads, device=index_M.device)
        source = ((piece + row_M[:, None, None]) * heads + head) * length + slot_M[:, None, None]
        picked = grad.reshape(-1, head_width).index_select(0, source.flatten())
        picked = picked.view(len(index_M), parts * heads * head_width)
        return F.pad(picked, (0, 0, 0, ctx.total - len(index_M))), None, None


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

    def heads(self, x_TC: Tensor, *, parts: int, heads: int) -> Tensor:
        """Return the padded layout with each row cut into parts and heads, (parts, B, heads, N, K).

        What stands in padding is finite but arbitrary; no gradient comes back from there.
        """
        rows, length = self.mask_BN.shape
        if self.index_M is None or not len(self.index_M):
            x_BNC = self.unpack(x_TC)
            return x_BNC.view(rows, length, parts, heads, -1).permute(2, 0, 3, 1, 4).contiguous()
        shape = torch.Size((parts, rows, heads, length, x_TC.shape[1] // (parts * heads)))
        out: Tensor = _ToHeads.apply(x_TC, self.index_M, shape)  # type: ignore[no-untyped-call]
        return out
