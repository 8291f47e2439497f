"""Summaries of stores of any schema."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hepfm.core.ragged import Ragged
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.summary import describe, summarize
from hepfm.data.writer import write_store


def test_jets(jet_store: Store) -> None:
    summary = summarize(jet_store)
    labels = np.asarray(jet_store.read(["jet_label"], jet_store.split("val"))["jet_label"])
    assert list(summary.classes["val"].values()) == np.bincount(labels, minlength=10).tolist()
    assert summary.lengths["constituent"] == pytest.approx(jet_store.lengths("constituent").mean())
    assert summary.size == sum(file.stat().st_size for file in jet_store.path.glob("*.arrow"))
    assert any(line.strip() == "source: test jets" for line in describe(jet_store))


def test_events_with_two_levels(tmp_path: Path) -> None:
    fields = (
        Field("met", Level.EVENT),
        Field("jet_pt", Level.OBJECT),
        Field("hit_layer", Level.HIT, Kind.COUNT, dtype="int32"),
    )
    columns = {
        "met": np.ones(2),
        "jet_pt": Ragged.from_lists([[1.0, 2.0], [3.0]]),
        "hit_layer": Ragged.from_lists([[], [1, 2, 3, 4, 5]], np.int32),
    }
    parts = [("test", columns)]
    store = Store.open(write_store(tmp_path / "s", Schema(fields, Level.EVENT), parts, provenance={}))
    summary = summarize(store)
    assert summary.lengths == {"object": 1.5, "hit": 2.5}
    assert (summary.classes, summary.feature_sets) == ({}, [])
    assert "2 rows (event)" in describe(store)[0]


def test_empty(tmp_path: Path) -> None:
    store = Store.open(write_store(tmp_path / "s", jet_schema(identity=False), [], provenance={}))
    summary = summarize(store)
    assert (summary.splits, summary.lengths, summary.feature_sets) == ({}, {}, ["kin", "pet", "massless"])
    assert "0 rows" in describe(store)[0]
