"""The cosine schedule of diffusion, by its logarithmic signal-to-noise ratio, and DDIM's way back."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

_LOG_RATIO = 20.0
"""The logarithmic signal-to-noise ratio runs from this to its negative (EveNet, 2601.17126, evenet-core)."""

_LAST = math.atan(math.exp(0.5 * _LOG_RATIO))
_FIRST = math.atan(math.exp(-0.5 * _LOG_RATIO))


def signal_and_noise(time: Tensor) -> tuple[Tensor, Tensor]:
    """Return alpha and sigma of ``z = alpha x + sigma eps``, alpha^2 + sigma^2 = 1, at times in [0, 1].

    alpha / sigma = cot(a t + b): the cosine schedule (2102.09672, in the form of 2202.00512), cut at both
    ends.
    """
    angle = (_LAST - _FIRST) * time + _FIRST
    return angle.cos(), angle.sin()


def noised(x: Tensor, noise: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """Return noised values, and ``v = alpha eps - sigma x`` that a network is asked for (2202.00512).

    Parameters
    ----------
    x, noise
        Values and standard normal noise, (B, ...).
    time
        Broadcasts to them.
    """
    alpha, sigma = signal_and_noise(time)
    return alpha * x + sigma * noise, alpha * noise - sigma * x


def ddim(predict: Callable[[Tensor, Tensor], Tensor], z: Tensor, steps: int) -> Tensor:
    """Return x at t = 0 of noise at t = 1 by equal steps of DDIM (2010.02502), without further noise.

    Parameters
    ----------
    predict
        v of noised values and a time, a scalar.
    z
        Standard normal noise.
    steps
        Number of steps.
    """
    times = torch.linspace(1, 0, steps + 1, device=z.device, dtype=z.dtype)
    for now, then in pairwise(times):
        alpha, sigma = signal_and_noise(now)
        v = predict(z, now)
        x, noise = alpha * z - sigma * v, sigma * z + alpha * v
        alpha, sigma = signal_and_noise(then)
        z = alpha * x + sigma * noise
    return z
