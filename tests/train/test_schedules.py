"""Schedules: bounds, warm-up, and the published shape."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError
from hepfm.train.schedules import SCHEDULES, Schedule


def build(spec: str | dict[str, Any]) -> Schedule:
    component = resolve_component(SCHEDULES, spec, where="test")
    schedule: Schedule = component.cls(component.config)
    return schedule


@settings(max_examples=50, deadline=None)
@given(name=st.sampled_from(list(SCHEDULES)), steps=st.integers(1, 5000), warmup=st.floats(0, 0.5))
def test_factors_are_positive_rise_to_one_and_never_beyond(name: str, steps: int, warmup: float) -> None:
    schedule = build({"name": name, "warmup": warmup})
    factors = [schedule.factor(step, steps) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    peak = factors.index(max(factors))
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


def test_warmup_is_linear() -> None:
    schedule = build({"name": "constant", "warmup": 0.1})
    assert [schedule.factor(step, 100) for step in (0, 4, 9, 10, 99)] == [0.1, 0.5, 1, 1, 1]


def test_wsd_is_the_published_flat_and_decay() -> None:
    schedule = build("wsd")
    assert schedule.factor(699_999, 1_000_000) == 1
    assert schedule.factor(850_000, 1_000_000) == pytest.approx(0.1)
    assert schedule.factor(999_999, 1_000_000) == pytest.approx(0.01, rel=1e-4)


def test_cosine_ends_at_its_final_factor() -> None:
    schedule = build({"name": "cosine", "warmup": 0.0, "final": 0.2})
    assert schedule.factor(500, 1000) == pytest.approx(0.6)
    assert schedule.factor(999, 1000) == pytest.approx(0.2, abs=1e-5)


def test_phases_longer_than_the_run_are_refused() -> None:
    with pytest.raises(ConfigError, match="more than all steps"):
        build({"name": "wsd", "warmup": 0.6, "decay": 0.6})
