"""Context sets: their definition, and how loaders fill them in."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.ragged import Ragged
from hepfm.core.schema import Field, Level, Schema
from hepfm.data import context_set, feature_set
from hepfm.data.content import Content
from hepfm.data.context import ContextSet
from hepfm.data.loader import EvalLoader, TrainLoader
from hepfm.data.store import Store
from hepfm.data.table import Table

JET = context_set("jet")


def test_definition() -> None:
    """A jet of known mass at 1 TeV, and one lighter than the floor."""
    pt, eta, mass = np.array([1000.0, 5.0]), np.array([1.5, -0.5]), np.array([172.5, 0.1])
    energy = np.hypot(pt * np.cosh(eta), mass)
    columns = {
        "jet_pt": pt.astype(np.float32),
        "jet_eta": eta.astype(np.float32),
        "jet_energy": energy.astype(np.float32),
    }
    found = JET.compute(columns, np.array([30, 1]))
    assert JET.names == ("log_jet_pt", "jet_eta", "log_jet_mass", "num_constituents")
    assert found.dtype == np.float32
    expected = [[np.log(1000), 1.5, np.log(172.5), 30], [np.log(5), -0.5, 0.0, 1]]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_no_jet_gives_inf_or_nan() -> None:
    columns = {
        "jet_pt": np.array([0, -1, 10], np.float32),
        "jet_eta": np.array([0, 5, 1], np.float32),
        "jet_energy": np.array([0, 0, 1], np.float32),
    }
    assert np.isfinite(JET.compute(columns, np.zeros(3, np.int64))).all()


def test_loaders_fill_it_in_the_order_of_the_batch(jet_store: Store) -> None:
    """The number of constituents is that after the cut."""
    content = Content(feature_set("pet"), max_constituents=20, context=JET)
    loader = EvalLoader(jet_store, content, rows=None, batch_size=90)
    cut = 0
    for batch in loader:
        columns = jet_store.read(["jet_pt", "jet_eta", "jet_energy", "part_pt"], batch.rows_B.numpy())
        pt = columns["part_pt"]
        assert isinstance(pt, Ragged)
        lengths = np.minimum(pt.lengths, 20)
        cut += int((pt.lengths > 20).sum())
        assert batch.context_BC is not None
        np.testing.assert_array_equal(batch.context_BC, JET.compute(columns, lengths))
        np.testing.assert_array_equal(batch.context_BC[:, -1], batch.mask_BN.sum(1))
    assert cut > 0


def test_context_changes_neither_order_nor_features(jet_store: Store) -> None:
    plain, told = (
        TrainLoader(jet_store, Content(feature_set("pet"), context=context), rows=None, batch_size=64, seed=1)
        for context in (None, JET)
    )
    for without, batch in itertools.islice(zip(plain, told, strict=False), 20):
        assert without.context_BC is None
        assert torch.equal(without.rows_B, batch.rows_B)
        assert torch.equal(without.features_BNF, batch.features_BNF)
        assert batch.context_BC is not None
    told.restore(plain.state())


def test_fields_that_the_data_lack(jet_columns: Any) -> None:
    def total(columns: Any, lengths: Any) -> Any:
        return np.stack([columns["jet_charge"], lengths], axis=1)

    fields = (*(Field(name, Level.OBJECT) for name in ("jet_pt", "jet_eta", "jet_phi", "jet_energy")),)
    parts = tuple(Field(f"part_{name}", Level.CONSTITUENT) for name in ("pt", "eta", "phi", "energy"))
    schema = Schema((*fields, *parts))
    table = Table.from_dict(jet_columns(5), schema)
    charge = ContextSet("charge", ("jet_charge", "num_constituents"), ("jet_charge",), total)
    with pytest.raises(
        DataError, match="context set 'charge' needs fields that this store lacks: jet_charge"
    ):
        EvalLoader(table, Content(feature_set("pet"), context=charge), rows=None, batch_size=5)


def test_unknown_or_misordered_set() -> None:
    with pytest.raises(ConfigError, match=r"unknown context_set 'jets'.*did you mean 'jet'"):
        context_set("jets")
    with pytest.raises(ValueError, match="num_constituents must be the last feature of context set 'odd'"):
        ContextSet("odd", ("num_constituents", "jet_pt"), ("jet_pt",), JET.compute)
