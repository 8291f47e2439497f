"""Ingest of ColliderML's tables, written here in the types of the production."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from format_files import colliderml_columns, write_parquet
from reading import named, read, rows_of, values

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.schema import Level
from hepfm.data.ingest import ingest
from hepfm.data.schemas.jets import PID_CLASSES
from hepfm.data.store import Store

pytest.importorskip("awkward", reason="awkward is not installed")

read_events = partial(read, "colliderml")


def test_tracks(tmp_path: Path) -> None:
    columns = read_events(write_parquet(tmp_path / "a.parquet", colliderml_columns("tracks")))
    first, second = rows_of(columns, "part_pt")
    np.testing.assert_allclose(first, [10 * np.sin(2.0), 2 * np.sin(1.0)], rtol=1e-6)
    np.testing.assert_allclose(second, [5 * np.sin(1.5)], rtol=1e-6)
    assert rows_of(columns, "part_charge") == [[-1, 1], [1]]
    np.testing.assert_allclose(values(columns, "part_eta"), -np.log(np.tan([1.0, 0.5, 0.75])), rtol=1e-6)
    np.testing.assert_allclose(values(columns, "part_d0"), [-0.2, -0.1, -0.3], rtol=1e-6)
    np.testing.assert_allclose(values(columns, "part_dz"), [2, 1, 3])
    np.testing.assert_allclose(values(columns, "part_energy")[0], np.hypot(10, 0.13957), rtol=1e-6)
    assert named(columns, "event_number").tolist() == [7, 8]


def test_particles_of_the_hard_collision(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "ttbar_pu10_particles.parquet", colliderml_columns("particles"))
    columns = read_events(path)
    assert rows_of(columns, "part_pt") == [[5, 1], [2]]
    assert rows_of(columns, "part_collision") == [[2, 1], [1]]
    assert [PID_CLASSES[code] for code in values(columns, "part_pid")] == [
        "photon",
        "electron",
        "charged_hadron",
    ]
    np.testing.assert_allclose(values(columns, "part_vx"), [0.2, 0.1, 0.3], rtol=1e-6)
    hard = read_events(path, select="vertex_primary == 1")
    assert rows_of(hard, "part_pt") == [[1], [2]]
    options = {"event_class": {"ttbar*": "ttbar", "zee*": "zee"}}
    store = Store.open(ingest("colliderml", [path], output=tmp_path / "store", options=options))
    assert store.schema.row is Level.EVENT
    assert store.schema.label_classes == ("ttbar", "zee")
    assert store.provenance["source"]["title"] == "ColliderML, particles"


def test_cells(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", colliderml_columns("calo_hits"))
    columns = read_events(path, event_class="ttbar")
    assert rows_of(columns, "hit_energy") == [[pytest.approx(0.5), pytest.approx(0.1)], [pytest.approx(0.2)]]
    assert rows_of(columns, "hit_z") == [[8, 7], [9]]
    assert rows_of(columns, "hit_detector") == [[4, 0], [1]]
    assert named(columns, "event_label").tolist() == [0, 0]


def test_other_tables_are_refused(tmp_path: Path) -> None:
    hits = {"event_id": [1], "x": [[1.0]], "true_x": [[1.0]], "volume_id": [[3]]}
    with pytest.raises(DataError, match="holds tracker hits, which are not read"):
        read_events(write_parquet(tmp_path / "hits.parquet", hits))
    with pytest.raises(DataError, match="holds no table of ColliderML"):
        read_events(write_parquet(tmp_path / "other.parquet", {"event_id": [1]}))
    tracks = write_parquet(tmp_path / "tracks.parquet", colliderml_columns("tracks"))
    with pytest.raises(ConfigError, match="the file has no 'd00'"):
        read_events(tracks, select="d00 < 1")
    cells = write_parquet(tmp_path / "cells.parquet", colliderml_columns("calo_hits"))
    with pytest.raises(DataError, match="has other fields"):
        ingest("colliderml", [tracks, cells], output=tmp_path / "store")
    wrong = colliderml_columns("calo_hits") | {"detector": [[9, 2], [10]]}
    with pytest.raises(DataError, match="2 is none of the codes"):
        read_events(write_parquet(tmp_path / "wrong.parquet", wrong))
