"""A linear layer that uses the faster of torch's two matrix-product libraries on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MIN_SIZE = 1 << 15
_MIN_ROWS = 16
"""Below these torch does not hand a convolution to oneDNN, and there would be nothing to win."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``x @ weight.T + bias``.

    In single precision on a CPU a large product is written as a one-by-one convolution: torch gives
    convolutions to oneDNN and matrix products to BLAS, and the BLAS of the public wheels (MKL) runs at half
    of oneDNN's speed, forward and backward, on processors of other makers with wide vectors.

    Parameters
    ----------
    x
        Shape (..., C_in).
    weight
        Shape (C_out, C_in).
    bias
        Shape (C_out,).
    """
    if not _as_convolution(x):
        return F.linear(x, weight, bias)
    rows = x.shape[0] if x.ndim > 2 else _MIN_ROWS
    image = x.reshape(rows, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)
    out = F.conv2d(image, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.shape[0])


def _as_convolution(x: Tensor) -> bool:
    if is_traced() or x.device.type != "cpu" or x.dtype != torch.float32 or x.numel() < _MIN_SIZE:
        return False
    return x.shape[0] >= _MIN_ROWS if x.ndim > 2 else x.shape[0] % _MIN_ROWS == 0


def is_traced() -> bool:
    """Tell whether torch compiles or exports: then shapes are symbols and layout is the compiler's affair."""
    return torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()


class Linear(nn.Linear):
    """`torch.nn.Linear` by way of `linear`; same parameters, same start."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the transformed last dimension."""
        return linear(x, self.weight, self.bias)
