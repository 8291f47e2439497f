"""Batch normalisation whose statistics come from real entries only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepfm.nn.kernels.moments import sum_and_gram
from hepfm.nn.kernels.switch import kernels_allowed
from hepfm.nn.linear import Linear, linear

_MOMENTUM = 0.1
_EPSILON = 1e-5


class BatchNorm(nn.Module):
    """Normalise each channel; in training with the mean and variance of the real entries of the batch.

    Padding, or how much of it there is, changes neither the outputs nor the running statistics.
    Momentum 0.1 and epsilon 1e-5 are torch's defaults, which the Particle Transformer uses.

    Parameters
    ----------
    num_channels
        C, the size of the last dimension.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.register_buffer("running_mean", torch.zeros(num_channels))
        self.register_buffer("running_var", torch.ones(num_channels))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return normalised `x` of shape (..., C); `mask` (...) is True for real entries."""
        mean_C, var_C = self.statistics(x, mask) if self.training else (self.running_mean, self.running_var)
        return (x - mean_C) * self.scale(var_C) + self.bias

    def scale(self, var_C: Tensor) -> Tensor:
        """Return the factor of each channel for a given variance."""
        return self.weight * torch.rsqrt(var_C + _EPSILON)

    def statistics(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the real entries and move the running ones towards them."""
        real = mask[..., None].to(x.dtype)
        count = real.sum()
        dims = tuple(range(x.ndim - 1))
        mean_C = (x * real).sum(dims) / count.clamp(min=1)
        var_C = ((x - mean_C).square() * real).sum(dims) / count.clamp(min=1)
        self.track(mean_C, var_C, count)
        return mean_C, var_C

    @torch.no_grad()
    def track(self, mean_C: Tensor, var_C: Tensor, count: Tensor) -> None:
        """Move the running statistics; fewer than two entries have no variance and are passed over."""
        momentum = torch.where(count > 1, _MOMENTUM, 0.0)
        unbiased = var_C * count / (count - 1).clamp(min=1)
        self.running_mean += momentum * (mean_C - self.running_mean)
        self.running_var += momentum * (unbiased - self.running_var)


class LinearBatchNorm(nn.Module):
    """A linear layer followed by batch normalisation, in one matrix product.

    Mean and variance of the outputs follow from the mean and the covariance of the inputs, so the
    normalisation is folded into the matrix and costs no pass over the outputs.

    Parameters
    ----------
    in_channels, out_channels
        Sizes of the last dimension before and after.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = Linear(in_channels, out_channels)
        # The normalisation takes this offset out again: it cannot learn, and is here for published weights.
        self.linear.bias.requires_grad_(False)
        self.norm = BatchNorm(out_channels)

    def forward(self, x_MC: Tensor, count: int) -> Tensor:
        """Return the normalised outputs, (M, out_channels), of which only the first `count` rows are real."""
        norm = self.norm
        mean, var = norm.running_mean, norm.running_var
        if self.training:
            with torch.autocast(x_MC.device.type, enabled=False):  # moments need single precision
                mean, var = self._moments(x_MC.to(norm.weight.dtype), count)
        scale = norm.scale(var)
        offset = (self.linear.bias - mean) * scale + norm.bias
        return linear(x_MC, self.linear.weight * scale[:, None], offset)

    def _moments(self, x_MC: Tensor, count: int) -> tuple[Tensor, Tensor]:
        weight = self.linear.weight
        real_MC = x_MC[:count]
        sum_C, gram_CC = (
            sum_and_gram(x_MC, count) if kernels_allowed() else (real_MC.sum(0), real_MC.T @ real_MC)
        )
        mean_C = sum_C / max(count, 1)
        cov_CC = gram_CC / max(count, 1) - torch.outer(mean_C, mean_C)
        mean = weight @ mean_C + self.linear.bias
        var = ((weight @ cov_CC) * weight).sum(1).clamp(min=0)
        self.norm.track(mean, var, x_MC.new_tensor(count))
        return mean, var
