"""Sum and Gram matrix of rows, with a gradient that is one matrix product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hepfm.nn.kernels.function import call
from hepfm.nn.linear import linear


def sum_and_gram(x_MC: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the sum (C,) and the matrix of products ``x.T @ x`` (C, C) of the first `count` rows."""
    sum_C, gram_CC = call(_Moments, x_MC, count)
    return sum_C, gram_CC


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_MC: Tensor, count: int) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x_MC)
        ctx.count = count
        real = x_MC[:count]
        return real.sum(0), real.T @ real

    @staticmethod
    def backward(ctx: Any, grad_sum_C: Tensor, grad_gram_CC: Tensor) -> tuple[Tensor, None]:
        (x_MC,) = ctx.saved_tensors
        grad_MC = linear(x_MC, grad_gram_CC + grad_gram_CC.T, grad_sum_C)
        grad_MC[ctx.count :] = 0
        return grad_MC, None
