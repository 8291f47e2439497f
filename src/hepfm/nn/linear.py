"""A linear layer that uses the faster of torch's two matrix-product libraries on a CPU."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MIN_SIZE = 1 << 15
_IMAGES = 16
"""Below these torch does not hand a convolution to oneDNN, and there would be nothing to win."""
_MIN_PIXELS = 32
"""Images of fewer pixels take oneDNN longer than BLAS, very small ones several times as long."""
_MANY_WEIGHTS = 1 << 20
_MANY_WEIGHTS_PIXELS = 4
"""From so many weights, as for the logits of thousands of codes, smaller images are already worth it."""
_FEW_WEIGHTS = 1 << 12
"""Up to here a convolution's gradient to its weights, a sum over all rows, is slower than BLAS."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``x @ weight.T + bias``.

    In single precision on a CPU with AVX-512 a large product is written as a one-by-one convolution: torch
    gives convolutions to oneDNN and matrix products to BLAS, and the BLAS of the public wheels (MKL) runs at
    0.5 to 0.95 of oneDNN's speed, forward and backward, on such processors of other makers. With AVX2 it is
    BLAS that is faster, by 1.6 to 1.9 with gradients. Products of few rows, as in generation code by code,
    are BLAS's.

    Parameters
    ----------
    x
        Shape (..., C_in).
    weight
        Shape (C_out, C_in).
    bias
        Shape (C_out,).
    """
    if not _as_convolution(x, weight):
        return F.linear(x, weight, bias)
    if bias is None or weight.numel() > _FEW_WEIGHTS or torch.is_autocast_enabled("cpu"):
        return _convolution(x, weight, bias)
    out: Tensor = _FewWeights.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return out


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    image = x.reshape(_images(x), -1, 1, x.shape[-1]).permute(0, 3, 1, 2)
    out = F.conv2d(image, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.shape[0])


def _images(x: Tensor) -> int:
    """Return how many images rows are written as: as few as torch hands to oneDNN, where they divide."""
    rows = x.numel() // x.shape[-1]
    return _IMAGES if rows % _IMAGES == 0 else x.shape[0]


class _FewWeights(torch.autograd.Function):
    """The convolution with another gradient: oneDNN for the inputs, BLAS for the weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolution(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        grad_x = _convolution(grad, weight.T, None) if ctx.needs_input_grad[0] else None
        return grad_x, rows.T @ x.flatten(0, -2), rows.sum(0)


@cache
def _has_wide_vectors() -> bool:
    """Tell whether torch uses AVX-512 on this processor."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


def _as_convolution(x: Tensor, weight: Tensor) -> bool:
    if is_traced() or x.device.type != "cpu" or x.dtype != torch.float32 or not x.numel():
        return False
    if not _has_wide_vectors():
        return False
    many = weight.numel() >= _MANY_WEIGHTS
    images, rows = _images(x), x.numel() // x.shape[-1]
    pixels = rows // images
    return (
        images >= _IMAGES
        and (x.numel() >= _MIN_SIZE or many)
        and pixels >= (_MANY_WEIGHTS_PIXELS if many else _MIN_PIXELS)
    )


def is_traced() -> bool:
    """Tell whether torch compiles or exports: then shapes are symbols and layout is the compiler's affair."""
    return torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()


class Linear(nn.Linear):
    """`torch.nn.Linear` by way of `linear`; same parameters, same start."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the transformed last dimension."""
        return linear(x, self.weight, self.bias)
