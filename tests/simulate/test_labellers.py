"""Jet labellers: what all of them promise, and the tau labeller on an event made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hepfm.core.ragged import Array, Ragged
from hepfm.physics.clustering import Jets
from hepfm.physics.taus import DECAY_MODES
from hepfm.simulate import LABELLERS
from hepfm.simulate.labellers.base import JetLabels
from hepfm.simulate.pythia import Record


def momenta(*rows: tuple[float, float, float]) -> Array:
    """Return (E, px, py, pz) of massless particles with pt, eta, phi."""
    pt, eta, phi = np.array(rows).T
    return np.stack([pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1)


@pytest.fixture
def record() -> Record:
    """One event: tau -> nu pi pi0 at eta 0 and phi 0, and opposite to it a gluon of the hard collision."""
    pdg = np.array([90, 15, 16, -211, 111, 21])
    energy, px, py, pz = momenta(
        (1, 0, 0), (60, 0, 0), (20, 0, 0.1), (30, 0.01, 0), (10, -0.02, -0.02), (60, 0, 3.1)
    ).T
    nothing = np.zeros(len(pdg))
    return Record(
        offsets=np.array([0, len(pdg)]),
        pdg=pdg,
        status=np.array([-11, -22, 91, 91, 91, -23]),
        daughter1=np.array([0, 2, 0, 0, 0, 0]),
        daughter2=np.array([0, 4, 0, 0, 0, 0]),
        px=px,
        py=py,
        pz=pz,
        energy=energy,
        mass=nothing,
        vertex=np.full(len(pdg), -1),
        x=nothing,
        y=nothing,
        z=nothing,
        weight=np.ones(1),
    )


@pytest.fixture
def jets() -> Jets:
    """A jet at the tau, a softer one beside it, and one at the gluon."""
    p4 = momenta((42, 0, 0), (8, 0.2, 0.2), (58, 0, 3.1))
    return Jets(p4, np.zeros(3, np.int64), Ragged.from_lengths(np.arange(3), np.ones(3, np.int64)))


def label(name: str, record: Record, jets: Jets, **match: Any) -> JetLabels:
    cls = LABELLERS.load(name)
    return cls(cls.Config()).label(record, jets, cls.Match(**match), radius=0.4)


@pytest.mark.parametrize("name", list(LABELLERS))
def test_labellers_keep_their_contract(name: str, record: Record, jets: Jets) -> None:
    """Without a match every jet belongs; the columns are the fields that the labeller owns."""
    labels = label(name, record, jets)
    assert labels.belongs.tolist() == [True] * 3
    assert list(labels.columns) == [field.name for field in LABELLERS.load(name).fields]
    assert all(len(column) == 3 for column in labels.columns.values())
    nothing = label(name, record, jets.take(np.zeros(3, bool)))
    assert len(nothing.belongs) == 0
    assert label(name, record, jets, parton="g").belongs.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("match", "belongs"),
    [
        ({"hadronic_tau": True}, [True, False, False]),
        ({"hadronic_tau": False}, [False, True, True]),
        ({"hadronic_tau": False, "parton": "g"}, [False, False, True]),
        ({"resonance": 15}, [True, True, False]),
        ({"resonance": 15, "hadronic_tau": False}, [False, True, False]),
    ],
)
def test_a_tau_belongs_to_its_nearest_jet(
    record: Record, jets: Jets, match: dict[str, Any], belongs: list[bool]
) -> None:
    assert label("taus", record, jets, **match).belongs.tolist() == belongs


def test_fields_of_a_tau_are_those_of_its_visible_products(record: Record, jets: Jets) -> None:
    columns = label("taus", record, jets).columns
    modes = [DECAY_MODES[mode] for mode in columns["tau_decay_mode"]]
    assert modes == ["h_pi0", "none", "none"]
    visible = momenta((30, 0.01, 0), (10, -0.02, -0.02)).sum(axis=0)
    pt = np.hypot(visible[1], visible[2])
    assert columns["tau_visible_pt"].tolist() == pytest.approx([pt, 0, 0])
    assert columns["tau_log_pt_ratio"].tolist() == pytest.approx([np.log(pt / 42), 0, 0])
    assert columns["tau_visible_eta"][0] == pytest.approx(np.arcsinh(visible[3] / pt))
