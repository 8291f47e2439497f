"""Solvers against exact solutions: their errors fall at the rates that they promise."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hepfm.generators.solvers import SOLVERS, SolverName, solve

ORDER: dict[SolverName, int] = {"euler": 1, "heun": 2, "midpoint": 2, "adams_bashforth": 2}
CALLS: dict[SolverName, int] = {"euler": 1, "heun": 2, "midpoint": 2, "adams_bashforth": 1}


def bent(x: Tensor, time: float) -> Tensor:
    """dx/dt = x (1 + t), solved by x(0) = x(1) exp(-3/2)."""
    return x * (1 + time)


def error(name: SolverName, steps: int) -> float:
    start = torch.ones(1, dtype=torch.float64)
    return abs(float(solve(SOLVERS[name], bent, start, steps)) - math.exp(-1.5))


@pytest.mark.parametrize("name", SOLVERS)
def test_the_error_falls_with_the_order(name: SolverName) -> None:
    found = math.log2(error(name, 64) / error(name, 128))
    assert found == pytest.approx(ORDER[name], abs=0.1)


@pytest.mark.parametrize("name", SOLVERS)
@given(start=st.floats(-5, 5), slope=st.floats(-5, 5), steps=st.integers(1, 20))
def test_a_constant_velocity_is_solved_exactly(
    name: SolverName, start: float, slope: float, steps: int
) -> None:
    x = torch.tensor([start], dtype=torch.float64)
    found = solve(SOLVERS[name], lambda x, time: torch.full_like(x, slope), x, steps)
    assert float(found) == pytest.approx(start - slope, abs=1e-9)


@pytest.mark.parametrize("name", SOLVERS)
def test_times_lie_between_one_and_zero_and_calls_are_as_promised(name: SolverName) -> None:
    times: list[float] = []

    def velocity(x: Tensor, time: float) -> Tensor:
        times.append(time)
        return x

    solve(SOLVERS[name], velocity, torch.ones(2, 3), 7)
    assert len(times) == 7 * CALLS[name]
    assert times[0] == 1.0
    assert min(times) >= 0.0
