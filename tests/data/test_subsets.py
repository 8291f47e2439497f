"""Laws of label budgets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepfm.core.errors import DataError
from hepfm.data.subsets import label_budget

LABELS = np.random.Generator(np.random.PCG64(0)).integers(0, 5, 500)


@settings(deadline=None, max_examples=50)
@given(n=st.integers(0, 300), seed=st.integers(0, 5))
def test_balanced_without_repeats_and_nested(n: int, seed: int) -> None:
    rows = label_budget(LABELS, n, seed=seed, num_classes=5)
    counts = np.bincount(LABELS[rows], minlength=5)
    assert len(set(rows.tolist())) == n == counts.sum()
    assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(label_budget(LABELS, 300, seed=seed, num_classes=5)[:n], rows)


def test_seed_matters() -> None:
    first, second = (label_budget(LABELS, 100, seed=seed, num_classes=5) for seed in (1, 2))
    assert len(np.intersect1d(first, second)) < 60


def test_drawn_from_everywhere_in_data_sorted_by_class() -> None:
    rows = label_budget(np.repeat([0, 1], 1000), 200, seed=1, num_classes=2)
    for number in (0, 1):
        mine = rows[(rows // 1000) == number] % 1000
        assert 400 < mine.mean() < 600


@pytest.mark.parametrize(("n", "num_classes"), [(501, 5), (480, 5), (6, 6), (-1, 5)])
def test_too_large_a_budget(n: int, num_classes: int) -> None:
    with pytest.raises(DataError, match="budget"):
        label_budget(LABELS, n, seed=1, num_classes=num_classes)
