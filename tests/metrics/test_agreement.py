"""Whether trainings agree on what they select."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from hepfm.metrics.agreement import agreement


def test_equal_trainings_agree_and_independent_ones_by_chance() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(3, 20_000))
    same, other = np.tile(scores[0], (3, 1)), scores
    found = agreement(same, same > 1)
    assert (found.common, found.least) == (1, 1)
    assert found.correlation == pytest.approx(1)
    found = agreement(other, other > 1)
    assert found.common == pytest.approx(found.chance, abs=0.02)
    assert found.chance == pytest.approx((scores > 1).mean(), abs=0.01)
    assert abs(found.correlation) < 0.02


def test_pairs_are_averaged() -> None:
    kept = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0]], bool)
    scores = np.array([[1.0, 2, 3, 4], [1, 3, 2, 4], [4, 3, 2, 1]])
    found = agreement(scores, kept)
    assert found.common == pytest.approx((0.5 + 1 + 0.5) / 3)
    assert found.least == 0.5
    assert found.chance == pytest.approx(0.5)
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([spearmanr(scores[a], scores[b]).statistic for a, b in pairs])
    assert found.correlation == pytest.approx(expected)


def test_one_training_and_empty_cuts() -> None:
    with pytest.raises(ValueError, match="2 trainings"):
        agreement(np.zeros((1, 5)), np.zeros((1, 5), bool))
    scores = np.random.default_rng(1).random((2, 5))
    assert np.isnan(agreement(scores, np.zeros((2, 5), bool)).common)
