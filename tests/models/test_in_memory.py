"""Scores of jets in memory: every form gives what the store gives, in the same order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.ragged import Columns, Ragged
from hepfm.data import feature_set
from hepfm.data.in_memory import rows_of
from hepfm.data.store import Store
from hepfm.heads import HEADS
from hepfm.models.directory import Model
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.specs import HeadSpec

ak = pytest.importorskip("awkward", reason="awkward is not installed")

ROWS = 40


@pytest.fixture(scope="module")
def model(jet_store: Store) -> Model:
    """An untrained classifier that reads all features."""
    backbone = resolve_component(BACKBONES, {"name": "transformer", "size": "xs"}, where="test")
    head = HeadSpec(resolve_component(HEADS, "classify", where="test"), jet_store.schema["jet_label"])
    with seeded_init(1, "test"):
        network = build_network(backbone, feature_set("full"), heads=[head])
    return Model(network.eval(), backbone, feature_set("full"), jet_store.schema)


@pytest.fixture(scope="module")
def expected(model: Model, jet_store: Store) -> Any:
    """What the model says of the first jets of the store."""
    scores = model.predict(jet_store)["jet_label"]
    assert scores.shape == (len(jet_store), 10)
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)
    return scores[:ROWS]


@pytest.fixture
def columns(jet_store: Store) -> Columns:
    """The first jets of the store, without their labels."""
    return jet_store.read([name for name in jet_store.schema.names() if name != "jet_label"], range(ROWS))


def jagged(columns: Columns) -> dict[str, Any]:
    """Return awkward arrays."""
    return {
        name: ak.unflatten(column.values, column.lengths) if isinstance(column, Ragged) else ak.Array(column)
        for name, column in columns.items()
    }


def test_every_form_gives_what_the_store_gives(model: Model, columns: Columns, expected: Any) -> None:
    arrays = jagged(columns)
    records = ak.Array([{name: array[row] for name, array in arrays.items()} for row in range(ROWS)])
    import pandas as pd

    forms = {
        "dict": dict(columns),
        "awkward": arrays,
        "records": records,
        "lists": {name: ak.to_list(array) for name, array in arrays.items()},
        "pandas": pd.DataFrame({name: ak.to_list(array) for name, array in arrays.items()}),
        "arrow": pa.table({name: ak.to_arrow(array, extensionarray=False) for name, array in arrays.items()}),
    }
    for name, form in forms.items():
        np.testing.assert_allclose(model.predict(form)["jet_label"], expected, atol=2e-6, err_msg=name)
    assert model.embed(forms["dict"]).shape == (ROWS, model.network.backbone.width)


def test_jets_of_events_unsorted_and_padded(model: Model, columns: Columns, expected: Any) -> None:
    arrays = jagged(columns)
    of_event = np.array([3, 0, 5, ROWS - 8])
    events = {name: ak.unflatten(array, of_event, axis=0) for name, array in arrays.items()}
    np.testing.assert_allclose(model.predict(events)["jet_label"], expected, atol=2e-6)
    turned = {name: array[:, ::-1] if array.ndim == 2 else array for name, array in arrays.items()}
    np.testing.assert_allclose(model.predict(turned)["jet_label"], expected, atol=2e-6)
    longest = int(max(ak.num(arrays["part_pt"])))
    padded = {
        name: np.asarray(ak.fill_none(ak.pad_none(array, longest + 3, axis=1), 0))
        if array.ndim == 2
        else array
        for name, array in arrays.items()
    }
    np.testing.assert_allclose(model.predict(padded)["jet_label"], expected, atol=2e-6)


def test_records_of_jets_and_constituents(model: Model, columns: Columns, expected: Any) -> None:
    arrays = jagged(columns)

    def records(prefix: str, leave: tuple[str, ...] = ()) -> Any:
        parts = {name.split("_", 1)[1]: array for name, array in arrays.items() if name.startswith(prefix)}
        depth = 2 if prefix == "part_" else 1
        return ak.zip({name: array for name, array in parts.items() if name not in leave}, depth_limit=depth)

    jets, parts = records("jet_", leave=("energy",)), records("part_", leave=("pid", "energy"))
    codes = np.array([211, 130, 22, 11, 13, 0])
    parts["pdgId"] = ak.unflatten(codes[ak.flatten(arrays["part_pid"])], ak.num(arrays["part_pid"]))
    for record, prefix in ((jets, "jet"), (parts, "part")):
        pt, eta, energy = (arrays[f"{prefix}_{name}"] for name in ("pt", "eta", "energy"))
        record["mass"] = np.sqrt(np.maximum(energy * energy - (pt * np.cosh(eta)) ** 2, 0))
    found = model.predict({"jet": jets, "part": parts})["jet_label"]
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_no_rows_and_wrong_input(model: Model, columns: Columns) -> None:
    empty = {name: array[:0] for name, array in jagged(columns).items()}
    assert model.predict(empty)["jet_label"].shape == (0, 10)
    with pytest.raises(DataError, match="is int; give a dict of columns"):
        model.predict(3)
    with pytest.raises(DataError, match="has no field of the schema"):
        model.predict({"pt": np.zeros(3)})
    with pytest.raises(IncompatibleError, match="lacks its fields part_charge"):
        model.predict({name: values for name, values in columns.items() if name != "part_charge"})


def test_nanoaod_constituents_in_three_lines(shared_data: Path, jet_store: Store) -> None:
    uproot = pytest.importorskip("uproot", reason="uproot is not installed")
    vector = pytest.importorskip("vector", reason="vector is not installed")
    vector.register_awkward()
    tree = uproot.open(shared_data / "nano_tt_v15.root")["Events"]

    def collection(name: str, fields: tuple[str, ...]) -> Any:
        return ak.zip({field: tree[f"{name}_{field}"].array() for field in fields}, with_name="Momentum4D")

    jets = collection("FatJet", ("pt", "eta", "phi", "mass"))
    candidates = collection("PFCand", ("pt", "eta", "phi", "mass", "pdgId"))
    link, jet_of = tree["FatJetPFCand_pfCandIdx"].array(), tree["FatJetPFCand_jetIdx"].array()
    parts = ak.unflatten(candidates[link], ak.flatten(ak.run_lengths(jet_of)), axis=1)
    whole = jets[ak.num(parts) == ak.num(jets)]
    parts = parts[ak.num(parts) == ak.num(jets)]
    table = rows_of({"jet": whole, "part": parts}, jet_store.schema)
    assert {"jet_energy", "part_energy", "part_pid"} <= set(table.schema.names())
    assert len(table) == ak.sum(ak.num(whole)) > 20
    momenta = table.read(["part_pt", "part_phi", "jet_pt"])
    pt, phi = momenta["part_pt"], momenta["part_phi"]
    assert isinstance(pt, Ragged)
    assert isinstance(phi, Ragged)
    px, py = (np.bincount(pt.row_index(), pt.values * of(phi.values), len(pt)) for of in (np.cos, np.sin))
    # The candidates have PUPPI weights, as the jets, whose momenta are calibrated besides.
    assert 0.9 < np.median(np.hypot(px, py) / np.asarray(momenta["jet_pt"])) < 1.3


def test_words(model: Model, jet_store: Store) -> None:
    assert repr(model).startswith("Model(transformer, ")
    assert "predicts jet_label (QCD, Hbb" in repr(model)
    assert "600 train, 200 val, 200 test" in repr(jet_store)
    assert len(repr(model)) < 300
