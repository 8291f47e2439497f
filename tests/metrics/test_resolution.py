"""Quantiles of differences."""

from __future__ import annotations

import numpy as np
import pytest

from hepfm.metrics.resolution import resolution


def test_quantiles_of_even_numbers_and_of_a_gaussian() -> None:
    found = resolution(np.arange(101.0))
    assert found["median"] == 50
    assert found["iqr"] == 50
    assert found["half68"] == pytest.approx((84.135 - 15.865) / 2)
    assert found["n"] == 101
    gaussian = resolution(np.random.default_rng(0).normal(3.0, 2.0, 40_000))
    assert gaussian["half68"] == pytest.approx(2.0, rel=0.02)
    assert gaussian["iqr"] == pytest.approx(2.0 * 1.349, rel=0.02)
    assert resolution(np.empty(0)) == {"median": 0.0, "iqr": 0.0, "half68": 0.0, "n": 0}
