"""Solvers of the flow's differential equation dx/dt = v(x, t) from t = 1 (noise) to t = 0 (data)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Literal, TypeVar

from torch import Tensor

Time = TypeVar("Time", float, Tensor)
"""A number; in an exported network a tensor."""

Step = Callable[[Callable[[Tensor, Time], Tensor], Tensor, Time, Time], Tensor]
"""(velocity, x at the first time, the first time, the second) -> x at the second."""

SolverName = Literal["euler", "heun", "midpoint"]


def euler(velocity: Callable[[Tensor, Time], Tensor], x: Tensor, start: Time, stop: Time) -> Tensor:
    """Step with one call of `velocity`; the error of all steps falls like 1 / steps."""
    return x - (start - stop) * velocity(x, start)


def heun(velocity: Callable[[Tensor, Time], Tensor], x: Tensor, start: Time, stop: Time) -> Tensor:
    """Step with two calls, at its ends; the error of all steps falls like 1 / steps^2."""
    first = velocity(x, start)
    second = velocity(x - (start - stop) * first, stop)
    return x - 0.5 * (start - stop) * (first + second)


def midpoint(velocity: Callable[[Tensor, Time], Tensor], x: Tensor, start: Time, stop: Time) -> Tensor:
    """Step with two calls, at its start and middle; the error of all steps falls like 1 / steps^2."""
    middle = x - 0.5 * (start - stop) * velocity(x, start)
    return x - (start - stop) * velocity(middle, 0.5 * (start + stop))


SOLVERS: Mapping[SolverName, Step[float]] = {"euler": euler, "heun": heun, "midpoint": midpoint}


def times(steps: int) -> list[float]:
    """Return the times between which so many equal steps are made, from 1 to 0."""
    return [1.0 - step / steps for step in range(steps)] + [0.0]


def solve(step: Step[float], velocity: Callable[[Tensor, float], Tensor], x: Tensor, steps: int) -> Tensor:
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
    for start, stop in pairwise(times(steps)):
        x = step(velocity, x, start, stop)
    return x
