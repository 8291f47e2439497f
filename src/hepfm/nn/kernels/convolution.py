"""A matrix product as a one-by-one convolution, by the faster of torch's two libraries.

torch gives convolutions to oneDNN and matrix products to BLAS, and the BLAS of the public wheels (MKL) runs
at 0.5 to 0.95 of oneDNN's speed, forward and backward, on processors of other makers with AVX-512. With AVX2
it is BLAS that is faster, by 1.6 to 1.9 with gradients. Products of few rows, as when tokens are generated
one by one, are left to BLAS.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.nn.kernels.function import as_output, call
from hepfm.nn.kernels.switch import cpu_kernels_allowed

_MIN_SIZE = 1 << 15
_IMAGES = 16
"""Below these torch does not hand a convolution to oneDNN, and there would be nothing to win."""
_MIN_PIXELS = 32
"""Images of fewer pixels take oneDNN longer than BLAS, very small ones several times as long."""
_MANY_WEIGHTS = 1 << 20
_MANY_WEIGHTS_PIXELS = 4
"""From so many weights, as for the logits of thousands of tokens, smaller images are already worth it."""
_FEW_WEIGHTS = 1 << 12
"""Up to here a convolution's gradient to its weights, a sum over all rows, is slower than BLAS."""


def convolution_is_faster(x: Tensor, weight: Tensor) -> bool:
    """Tell whether `linear_by_convolution` may be used and beats the matrix product."""
    if x.dtype != torch.float32 or not cpu_kernels_allowed(x) or not _has_wide_vectors():
        return False
    if not x.numel() or not weight.numel():
        return False
    many = weight.numel() >= _MANY_WEIGHTS
    images, rows = _images(x), x.numel() // x.shape[-1]
    return (
        images >= _IMAGES
        and (x.numel() >= _MIN_SIZE or many)
        and rows // images >= (_MANY_WEIGHTS_PIXELS if many else _MIN_PIXELS)
    )


def linear_by_convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``x @ weight.T + bias``; shapes as in `hepfm.nn.linear.linear`."""
    if bias is None or weight.numel() > _FEW_WEIGHTS or torch.is_autocast_enabled("cpu"):
        return _convolution(x, weight, bias)
    out: Tensor = call(_FewWeights, x, weight, bias)
    return out


@cache
def _has_wide_vectors() -> bool:
    """Tell whether torch uses AVX-512 on this processor."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


def _images(x: Tensor) -> int:
    """Return how many images rows are written as: as few as torch hands to oneDNN, where they divide."""
    rows = x.numel() // x.shape[-1]
    return _IMAGES if rows % _IMAGES == 0 else x.shape[0]


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    image = x.reshape(_images(x), -1, 1, x.shape[-1]).permute(0, 3, 1, 2)
    out = F.conv2d(image, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.shape[0])


class _FewWeights(torch.autograd.Function):
    """The convolution with another gradient: oneDNN for the inputs, BLAS for the weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return as_output(_convolution(x, weight, bias))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        grad_x = _convolution(grad, weight.T, None) if ctx.needs_input_grad[0] else None
        return grad_x, rows.T @ x.flatten(0, -2), rows.sum(0)
