"""Solvers of the flow's differential equation dx/dt = v(x, t) from t = 1 (noise) to t = 0 (data)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Literal, TypeVar

import torch
from torch import Tensor

Time = TypeVar("Time", float, Tensor)
"""A number; in an exported network a tensor."""

Velocity = Callable[[Tensor, Time], Tensor]
"""v(x, t)."""

Step = Callable[[Velocity[Time], Tensor, Tensor, Time, Time], tuple[Tensor, Tensor]]
"""(velocity, x at the first time, velocity of the step before, the first time, the second) -> x at the
second, and the velocity that the next step is given."""

SolverName = Literal["euler", "heun", "midpoint", "adams_bashforth"]


def euler(
    velocity: Velocity[Time], x: Tensor, before: Tensor, start: Time, stop: Time
) -> tuple[Tensor, Tensor]:
    """Step with one call of `velocity`; the error of all steps falls like 1 / steps."""
    return x - (start - stop) * velocity(x, start), before


def heun(
    velocity: Velocity[Time], x: Tensor, before: Tensor, start: Time, stop: Time
) -> tuple[Tensor, Tensor]:
    """Step with two calls, at its ends; the error of all steps falls like 1 / steps^2."""
    first = velocity(x, start)
    second = velocity(x - (start - stop) * first, stop)
    return x - 0.5 * (start - stop) * (first + second), before


def midpoint(
    velocity: Velocity[Time], x: Tensor, before: Tensor, start: Time, stop: Time
) -> tuple[Tensor, Tensor]:
    """Step with two calls, at its start and middle; the error of all steps falls like 1 / steps^2."""
    middle = x - 0.5 * (start - stop) * velocity(x, start)
    return x - (start - stop) * velocity(middle, 0.5 * (start + stop)), before


def adams_bashforth(
    velocity: Velocity[Time], x: Tensor, before: Tensor, start: Time, stop: Time
) -> tuple[Tensor, Tensor]:
    """Step with one call and the velocity of the step before, of equal length; the error of all falls like 1
    / steps^2.

    The two-step method of Adams and Bashforth. The first step, which has none before it, is Euler's.
    """
    now = velocity(x, start)
    return x - (start - stop) * (now + 0.5 * (start < 1) * (now - before)), now


SOLVERS: Mapping[SolverName, Step[float]] = {
    "euler": euler,
    "heun": heun,
    "midpoint": midpoint,
    "adams_bashforth": adams_bashforth,
}


def times(steps: int) -> list[float]:
    """Return the times between which so many equal steps are made, from 1 to 0."""
    return [1.0 - step / steps for step in range(steps)] + [0.0]


def solve(step: Step[float], velocity: Velocity[float], x: Tensor, steps: int) -> Tensor:
    """Return x at t = 0.

    Parameters
    ----------
    step
        One of `SOLVERS`.
    velocity
        v(x, t), of the shape of x.
    x
        At t = 1.
    steps
        Number of steps.
    """
    before = torch.zeros_like(x)
    for start, stop in pairwise(times(steps)):
        x, before = step(velocity, x, before, start, stop)
    return x
