"""Origins and vertices of particles of a small event made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hepfm.core.errors import DataError
from hepfm.core.ragged import Ragged
from hepfm.data.schemas.jets import NO_VERTEX, ORIGIN_CLASSES
from hepfm.simulate.pythia import Record
from hepfm.simulate.truth import PRIMARY, constituent_truth, origins_of

LENGTHS = {511: 0.46, 421: 0.12, 15: 0.087, 310: 26.8, 3122: 78.9, 211: 7800.0, 130: 15000.0}
"""c tau in mm of what flies here; all else decays at once."""

# Code, first and last daughter: a B0 that turns into its antiparticle, then decays to D*- pi+; the D*- to a
# D0bar and pi-; the D0bar to K0S and a pion; the K0S to two pions. A primary D0, a tau, a Lambda, a pion
# that decays, and a neutral pion at the primary vertex.
CHAIN = [
    (90, 0, 0),
    (511, 2, 2),
    (-511, 3, 4),
    (-413, 5, 6),
    (211, 0, 0),
    (-421, 7, 8),
    (-211, 0, 0),
    (310, 9, 10),
    (211, 0, 0),
    (211, 0, 0),
    (-211, 0, 0),
    (421, 12, 12),
    (321, 0, 0),
    (15, 14, 14),
    (-211, 0, 0),
    (3122, 16, 16),
    (2212, 0, 0),
    (211, 18, 18),
    (-13, 0, 0),
    (111, 20, 20),
    (22, 0, 0),
]
EXPECTED = {
    4: ("b", 2),
    6: ("b", 2),
    8: ("b_to_c", 5),
    9: ("b_to_c", 7),
    12: ("c", 11),
    14: ("tau", 13),
    16: ("strange", 15),
    18: ("other", 17),
    20: ("primary", PRIMARY),
}


def record(chain: list[tuple[int, int, int]] = CHAIN, copies: int = 1) -> Record:
    pdg, first, last = (np.array([row[k] for row in chain] * copies) for k in range(3))
    n = len(pdg)
    zeros = np.zeros(n)
    return Record(
        offsets=np.arange(copies + 1) * len(chain),
        pdg=pdg,
        status=np.where(first > 0, -2, 1),
        daughter1=first,
        daughter2=last,
        **dict.fromkeys(("px", "py", "pz", "energy", "mass"), zeros),
        vertex=np.full(n, -1),
        **dict.fromkeys(("x", "y", "z"), zeros[:0]),
        weight=np.ones(copies),
    )


def lengths(codes: np.ndarray) -> np.ndarray:
    return np.array([LENGTHS.get(abs(int(code)), 0.0) for code in codes])


@pytest.mark.parametrize("event", [0, 1])
def test_origins_are_those_of_the_nearest_heavy_hadron_and_vertices_of_the_last_that_flew(event: int) -> None:
    given, start = record(copies=2), event * len(CHAIN)
    found = origins_of(given, start + np.array(list(EXPECTED)), lengths)
    names = [ORIGIN_CLASSES[number] for number in found.origin]
    assert names == [name for name, _ in EXPECTED.values()]
    expected = [PRIMARY if decay == PRIMARY else start + decay for _, decay in EXPECTED.values()]
    assert found.decay.tolist() == expected


def test_vertices_are_numbered_within_the_jet_and_neutral_constituents_have_none() -> None:
    entries = Ragged.from_lists([[20, 4, 8, 6], [8, 9, 10]], dtype=int)
    charged = np.array([False, True, True, True, True, True, True])
    columns = constituent_truth(record(), entries, charged, lengths)
    assert columns["part_vertex"].values.tolist() == [NO_VERTEX, 1, 2, 1, 1, 2, 2]
    assert len(columns["part_origin"].values) == 7


def test_an_entry_that_is_its_own_ancestor_is_refused() -> None:
    with pytest.raises(DataError, match="its own ancestor"):
        origins_of(record([(90, 0, 0), (511, 2, 2), (421, 1, 1)]), np.array([2]), lengths)
