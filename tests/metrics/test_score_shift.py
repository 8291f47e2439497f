"""The shift of scores between simulations."""

from __future__ import annotations

import numpy as np
import pytest

from hepfm.metrics.score_shift import score_shifts

NAMES = ("fsr_up", "nominal", "seed", "vincia")


def test_the_shift_is_the_mean_distance_of_the_sorted_scores() -> None:
    rng = np.random.default_rng(0)
    scores, variation = rng.uniform(size=900), np.repeat([0, 1, 2], 300)
    shifts = score_shifts(scores, variation, NAMES)
    assert set(shifts) == {"fsr_up", "seed"}
    for name, number in (("fsr_up", 0), ("seed", 2)):
        expected = np.abs(np.sort(scores[variation == number]) - np.sort(scores[variation == 1])).mean()
        assert shifts[name] == pytest.approx(expected)


def test_weights_count_rows_several_times() -> None:
    scores, variation = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0, 0, 1, 1])
    weights = np.array([3.0, 1.0, 1.0, 1.0])
    assert score_shifts(scores, variation, NAMES, weights=weights)["fsr_up"] == pytest.approx(0.25)


def test_the_nominal_simulation_must_be_there() -> None:
    with pytest.raises(ValueError, match="no row of the variation 'nominal'"):
        score_shifts(np.zeros(3), np.array([0, 2, 3]), NAMES)
