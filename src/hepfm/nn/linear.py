"""A linear layer."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.kernels.convolution import convolution_is_faster, linear_by_convolution


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``x @ weight.T + bias``.

    Parameters
    ----------
    x
        Shape (..., C_in).
    weight
        Shape (C_out, C_in).
    bias
        Shape (C_out,).
    """
    if convolution_is_faster(x, weight):
        return linear_by_convolution(x, weight, bias)
    return F.linear(x, weight, bias)


class Linear(nn.Linear):
    """`torch.nn.Linear` by way of `linear`; same parameters, same start."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the transformed last dimension."""
        return linear(x, self.weight, self.bias)
