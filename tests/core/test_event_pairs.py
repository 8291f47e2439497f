"""Pairs of things of the same event."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hepfm.core.pairs import nearest_first, pairs_of_events


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(1, 5))
def test_nearest_first_is_what_one_does_by_hand(seed: int, number: int, kinds: int) -> None:
    rng = np.random.default_rng(seed)
    i, j, distance = rng.integers(0, kinds, number), rng.integers(0, kinds, number), rng.random(number)
    expected: dict[int, int] = {}
    for pair in np.argsort(distance):
        if i[pair] not in expected and j[pair] not in expected.values():
            expected[int(i[pair])] = int(j[pair])
    found = nearest_first(i, j, distance)
    assert dict(zip(*(index.tolist() for index in found), strict=True)) == expected


def test_pairs_are_all_of_the_same_event() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 6, 30), rng.integers(0, 6, 40)
    i, j = pairs_of_events(first, second)
    expected = {(a, b) for a in range(30) for b in range(40) if first[a] == second[b]}
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == expected
    assert len(i) == len(expected)
    empty = np.zeros(0, np.int64)
    assert all(len(index) == 0 for index in pairs_of_events(empty, second))
