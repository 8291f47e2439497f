"""Published formats that are read by a map: what the jets and constituents become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from format_files import QUARK_GLUON, write_atlas_top, write_quark_gluon

from hepfm.core.ragged import lists
from hepfm.data.ingest import ingest
from hepfm.data.schemas.jets import PID_CLASSES
from hepfm.data.store import Store

pytest.importorskip("awkward", reason="the extra 'io' is not installed")
pytest.importorskip("h5py", reason="the extra 'io' is not installed")


def test_quark_and_gluon_jets(tmp_path: Path) -> None:
    path = write_quark_gluon(tmp_path / "QG_jets.npz")
    store = Store.open(ingest("quark_gluon", [path], output=tmp_path / "store"))
    columns = store.read(store.schema.names())
    assert store.schema.label_classes == ("gluon", "quark")
    assert list(columns["jet_label"]) == [1, 0]
    assert lists(columns, "part_pt").lengths.tolist() == [3, 2]
    assert lists(columns, "part_pt").row(0).tolist() == [20.0, 9.0, 5.0]
    # An electron has a positive code and a negative charge, an antimuon the opposite.
    assert lists(columns, "part_charge").row(0).tolist() == [-1.0, -1.0, 0.0]
    assert lists(columns, "part_charge").row(1).tolist() == [1.0, 0.0]
    types = [PID_CLASSES[number] for number in lists(columns, "part_pid").row(0)]
    assert types == ["charged_hadron", "electron", "photon"]
    np.testing.assert_allclose(lists(columns, "part_phi").row(0)[0], 3.3 - 2 * np.pi, rtol=1e-6)
    pt, eta, phi, _ = QUARK_GLUON[0].T
    np.testing.assert_allclose(columns["jet_energy"][0], (pt * np.cosh(eta)).sum(), rtol=1e-6)
    np.testing.assert_allclose(
        columns["jet_pt"][0], np.hypot((pt * np.cos(phi)).sum(), (pt * np.sin(phi)).sum()), rtol=1e-6
    )


def test_atlas_top_jets(tmp_path: Path) -> None:
    path = write_atlas_top(tmp_path / "train_nominal.h5")
    store = Store.open(ingest("atlas_top", [path], output=tmp_path / "store"))
    columns = store.read(store.schema.names())
    assert store.schema.weight == "jet_weight"
    np.testing.assert_array_equal(columns["jet_weight"], [0.5, 2.0])
    np.testing.assert_array_equal(columns["jet_label"], [1, 0])
    np.testing.assert_allclose(columns["jet_pt"], [600, 500])
    np.testing.assert_allclose(
        columns["jet_energy"], np.hypot(np.array([600, 500]) * np.cosh(0.5), [170, 30]), rtol=1e-6
    )
    assert lists(columns, "part_pt").row(0).tolist() == [300.0, 200.0, 100.0]
    assert lists(columns, "part_pt").lengths.tolist() == [3, 1]
