"""Dynamic tanh in front of a linear layer, with fewer passes over the tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hepfm.nn.dynamic_tanh import DynamicTanh
from hepfm.nn.linear import Linear, is_traced, linear


def squashed_linear(x: Tensor, norm: DynamicTanh, layer: Linear) -> Tensor:
    """Return ``layer(norm(x))``, with the weight of the norm folded into that of the layer."""
    return scaled_linear(squash(x, norm.alpha), norm, layer)


def scaled_linear(x: Tensor, norm: DynamicTanh, layer: Linear) -> Tensor:
    """Return ``layer(x * norm.weight)``."""
    return linear(x, layer.weight * norm.weight, layer.bias)


def squash(x: Tensor, alpha: Tensor) -> Tensor:
    """Return ``tanh(alpha * x)``.

    On a CPU it is made of torch's logistic function, several times faster than its tanh there; the result
    differs by rounding of numbers of order one.

    Parameters
    ----------
    x
        Any shape.
    alpha
        Shape (1,).
    """
    if x.device.type != "cpu" or is_traced():
        return torch.tanh(alpha * x)
    out: Tensor = _Squash.apply(x, alpha)  # type: ignore[no-untyped-call]
    return out


class _Squash(torch.autograd.Function):
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
