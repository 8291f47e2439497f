"""tanh made of torch's logistic function, which is several times faster than its tanh on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hepfm.nn.kernels.function import call


def fast_tanh(x: Tensor, alpha: Tensor) -> Tensor:
    """Return ``tanh(alpha * x)``; it differs from torch's by rounding of numbers of order one.

    Parameters
    ----------
    x
        Any shape.
    alpha
        Shape (1,).
    """
    out: Tensor = call(_FastTanh, x, alpha)
    return out


class _FastTanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor) -> Tensor:
        half = torch.mul(x, 2 * alpha).sigmoid_()
        y = torch.add(half.new_tensor(-1.0), half, alpha=2, out=half)
        ctx.save_for_backward(x, alpha, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, alpha, y = ctx.saved_tensors
        inner = torch.ops.aten.tanh_backward(grad, y)
        grad_alpha = torch.dot(inner.flatten(), x.to(inner.dtype).flatten())[None]
        return inner.mul_(alpha).to(x.dtype), grad_alpha
