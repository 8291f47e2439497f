"""The best validation, and how many came after it."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from hepfm.train.early_stopping import Best


@pytest.mark.parametrize(
    ("min_delta", "expected"),
    [
        (0.0, [(5.0, 1, 0), (4.5, 2, 0), (4.5, 2, 1), (4.4, 4, 0), (4.4, 4, 1)]),
        # An improvement by no more than min_delta is none; losses are compared with the one that is kept.
        (0.5, [(5.0, 1, 0), (5.0, 1, 1), (5.0, 1, 2), (4.4, 4, 0), (4.4, 4, 1)]),
    ],
)
def test_the_best_validation(min_delta: float, expected: list[tuple[float, int, int]]) -> None:
    best, found = Best(), []
    for step, loss in enumerate([5.0, 4.5, 4.5, 4.4, 4.4], start=1):
        best.update(loss, step, min_delta=min_delta)
        found.append(astuple(best))
    assert found == expected
