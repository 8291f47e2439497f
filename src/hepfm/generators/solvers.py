"""Solvers of the flow's differential equation dx/dt = v(x, t) from t = 1 (noise) to t = 0 (data)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from torch import Tensor

Velocity = Callable[[Tensor, float], Tensor]
"""v(x, t), of the shape of x."""

Solver = Callable[[Velocity, Tensor, int], Tensor]
"""(velocity, x at t = 1, number of steps) -> x at t = 0."""

SolverName = Literal["euler", "heun", "midpoint"]


def euler(velocity: Velocity, x: Tensor, steps: int) -> Tensor:
    """Solve with one call of `velocity` per step; the error falls like 1 / steps."""
    size = 1.0 / steps
    for step in range(steps):
        x = x - size * velocity(x, 1.0 - step * size)
    return x


def heun(velocity: Velocity, x: Tensor, steps: int) -> Tensor:
    """Solve with two calls per step, at its ends; the error falls like 1 / steps^2."""
    size = 1.0 / steps
    for step in range(steps):
        time = 1.0 - step * size
        first = velocity(x, time)
        second = velocity(x - size * first, max(time - size, 0.0))
        x = x - 0.5 * size * (first + second)
    return x


def midpoint(velocity: Velocity, x: Tensor, steps: int) -> Tensor:
    """Solve with two calls per step, at its start and middle; the error falls like 1 / steps^2."""
    size = 1.0 / steps
    for step in range(steps):
        time = 1.0 - step * size
        middle = x - 0.5 * size * velocity(x, time)
        x = x - size * velocity(middle, time - 0.5 * size)
    return x


SOLVERS: Mapping[SolverName, Solver] = {"euler": euler, "heun": heun, "midpoint": midpoint}
