"""Pairs of jets at two levels: what has none, orders of rows, rows that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hepfm.core.errors import DataError
from hepfm.data.level_pairs import pair_levels, six_observables

DETECTOR, PARTICLE = 0, 1


def rows(*jets: tuple[int, int, bool, bool]) -> dict[str, Any]:
    """Return jets given by event, level, pass_particle, pass_detector."""
    event, level, particle, detector = zip(*jets, strict=True)
    return {
        "event_id": np.array(event, np.int64),
        "jet_level": np.array(level, np.int8),
        "pass_particle": np.array(particle),
        "pass_detector": np.array(detector),
    }


GOOD = [
    (7, DETECTOR, True, True),
    (3, PARTICLE, True, False),  # lost
    (5, DETECTOR, False, True),  # fake ...
    (7, PARTICLE, True, True),
    (5, PARTICLE, True, False),  # ... of an event whose own jet is lost
    (2, PARTICLE, True, True),
    (2, DETECTOR, True, True),
]


def test_pairs_come_in_the_order_of_their_first_row() -> None:
    pairs = pair_levels(rows(*GOOD))
    assert pairs.event_id.tolist() == [7, 3, 5, 5, 2]
    assert pairs.passes["particle"].tolist() == [True, True, False, True, True]
    assert pairs.passes["detector"].tolist() == [True, False, True, False, True]
    assert pairs.rows["particle"].tolist() == [3, 1, 4, 5]
    assert pairs.rows["detector"].tolist() == [0, 2, 6]
    assert len(pairs) == 5
    numbers = np.arange(7.0)
    np.testing.assert_array_equal(
        pairs.values("detector", numbers, missing=np.nan), [0, np.nan, 2, np.nan, 6]
    )
    two = pairs.values("particle", np.stack([numbers, -numbers], axis=1), missing=0)
    np.testing.assert_array_equal(two, [[3, -3], [1, -1], [0, 0], [4, -4], [5, -5]])


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_changes_the_order_of_pairs_only(seed: int) -> None:
    columns = rows(*GOOD)
    order = np.random.default_rng(seed).permutation(len(GOOD))
    mixed = pair_levels({name: values[order] for name, values in columns.items()})

    def known(pairs: Any, names: Any) -> set[Any]:
        at = {level: iter(names[pairs.rows[level]]) for level in ("particle", "detector")}
        return {
            tuple(int(next(at[level])) if pairs.passes[level][pair] else None for level in at)
            for pair in range(len(pairs))
        }

    assert known(mixed, order) == known(pair_levels(columns), np.arange(len(GOOD)))


def test_no_rows_have_no_pairs() -> None:
    empty = {name: values[:0] for name, values in rows(*GOOD).items()}
    assert len(pair_levels(empty)) == 0


BAD = [
    ([(1, PARTICLE, False, True)], "event 1 has a jet at particle level with pass_particle false"),
    ([(1, DETECTOR, True, False)], "event 1 has a jet at detector level with pass_detector false"),
    ([GOOD[0], *GOOD[5:]], r"event 7 has a jet whose pair is not among the rows \(1 such events\)"),
    ([GOOD[0], *GOOD], "event 7 has two jets at detector level that are one of a pair"),
]


@pytest.mark.parametrize(("jets", "message"), BAD)
def test_rows_that_make_no_pairs(jets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pair_levels(rows(*jets))


def test_observables_of_a_jet_that_has_no_substructure() -> None:
    one = {
        "jet_pt": [200.0, 200.0],
        "jet_eta": [0.0, 1.0],
        "jet_energy": [np.hypot(200, 10), 200 * np.cosh(1.0)],
        "omnifold_multiplicity": [12, 1],
        "omnifold_width": [0.1, 0.0],
        "omnifold_tau2": [0.05, 0.0],
        "omnifold_softdrop_mass": [20.0, 0.0],
        "omnifold_zg": [0.3, 0.0],
    }
    six = six_observables({name: np.array(values) for name, values in one.items()})
    np.testing.assert_allclose(six["mass"], [10, 0], atol=1e-4)
    np.testing.assert_allclose(six["ln_rho"], [2 * np.log(0.1), -14])
    np.testing.assert_allclose(six["tau21"], [0.5, 0])
