"""Gathers between the padded and the padding-free layout, with backward passes of one gather each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hepfm.nn.kernels.function import as_output, call


def pack_rows(x_SC: Tensor, index_M: Tensor, total: int) -> Tensor:
    """Return ``x_SC[index_M]`` with zeros up to `total` rows, (T, C); indices must differ."""
    out: Tensor = call(_Pack, x_SC, index_M, total)
    return out


def unpack_rows(x_TC: Tensor, index_M: Tensor, slots: int) -> Tensor:
    """Return zeros, (S, C), with the first M rows of `x_TC` at ``index_M``; the way back of `pack_rows`."""
    out: Tensor = call(_Unpack, x_TC, index_M, slots)
    return out


def split_heads(x_TC: Tensor, index_M: Tensor, shape: torch.Size) -> Tensor:
    """Return unpacked rows cut into parts and heads, of the shape (parts, B, heads, N, K).

    Padding and the transposition to heads in one gather of rows of K. There must be a real row; padding is
    filled with the first one, and no gradient comes back from there.
    """
    out: Tensor = call(_SplitHeads, x_TC, index_M, shape)
    return out


def _select(x_SC: Tensor, index_M: Tensor, total: int) -> Tensor:
    """Return ``x_SC[index_M]`` with zeros up to `total` rows, without a second copy for these."""
    out_TC = x_SC.new_empty(total, x_SC.shape[1])
    torch.index_select(x_SC, 0, index_M, out=out_TC[: len(index_M)])
    out_TC[len(index_M) :] = 0
    return out_TC


class _Pack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_SC: Tensor, index_M: Tensor, total: int) -> Tensor:
        ctx.save_for_backward(index_M)
        ctx.slots = x_SC.shape[0]
        return _select(x_SC, index_M, total)

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
        return _select(grad_SC, index_M, ctx.total), None, None


class _SplitHeads(torch.autograd.Function):
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
        return as_output(x_TC.view(-1, head_width).index_select(0, source.flatten()).view(shape))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (index_M,) = ctx.saved_tensors
        parts, rows, heads, length, head_width = grad.shape
        row_M, slot_M = index_M // length, index_M % length
        piece = torch.arange(parts, device=index_M.device)[:, None] * rows
        head = torch.arange(heads, device=index_M.device)
        source = ((piece + row_M[:, None, None]) * heads + head) * length + slot_M[:, None, None]
        total = ctx.total * parts * heads
        picked = _select(grad.reshape(-1, head_width), source.flatten(), total)
        return picked.view(ctx.total, parts * heads * head_width), None, None
