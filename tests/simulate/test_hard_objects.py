"""The hard process is the same by mothers in a whole record, as of files, and by daughters, as simulated."""

from __future__ import annotations

import numpy as np
import pytest

from hepfm.data.hard_process import NO_MOTHER, hard_process, object_charges
from hepfm.simulate.generator_objects import generator_objects, hard_tree
from hepfm.simulate.labels import daughters_of
from hepfm.simulate.pythia import PythiaGenerator, Record

pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")

PROCESSES = {
    "top pairs": ["Top:gg2ttbar = on", "Top:qqbar2ttbar = on"],
    "W pairs": ["WeakDoubleBoson:ffbar2WW = on"],
    "Z pairs": ["WeakDoubleBoson:ffbar2gmZgmZ = on"],
    "Higgs": ["HiggsSM:gg2H = on", "25:onMode = off", "25:onIfAny = 24 23 22 5"],
    "Z'": ["NewGaugeBoson:ffbar2gmZZprime = on", "32:m0 = 1500.", "Zprime:gmZmode = 3"],
}


def mothers(record: Record) -> np.ndarray:
    """Return the place of the first mother of each entry."""
    parents = np.flatnonzero(record.daughter1 > 0)
    owner, daughter = daughters_of(record, parents, parents)
    found = np.full(len(record.pdg), NO_MOTHER)
    found[daughter[::-1]] = owner[::-1]
    return found


@pytest.mark.parametrize("name", PROCESSES)
def test_both_ways_find_the_same_objects(name: str) -> None:
    lines = ["Beams:eCM = 13000.", "PartonLevel:MPI = off", "HadronLevel:all = off", *PROCESSES[name]]
    pythia = PythiaGenerator(lines, seed=3, where="test")
    record = pythia.batch(30)
    expected = generator_objects(record, pythia.charges)
    event = np.repeat(np.arange(record.num_events), np.diff(record.offsets))
    hard = np.isin(np.abs(record.status), (22, 23))
    found = hard_process(record.pdg, mothers(record), hard, event=event, pt=np.hypot(record.px, record.py))
    tree = hard_tree(record)
    order = np.argsort(tree.entry)
    np.testing.assert_array_equal(found.place, tree.entry[order])
    np.testing.assert_array_equal(found.type, expected.type[order])
    np.testing.assert_array_equal(found.role, expected.role[order])
    np.testing.assert_allclose(object_charges(expected.pdg), expected.charge, atol=1e-6)
