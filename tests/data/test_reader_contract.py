"""The contract of every registered reader, on a small file of each format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from format_files import MAP, make_inputs

from hepfm.data import READERS
from hepfm.data.store import Store
from hepfm.testing.readers import LAWS, ReaderCase

pytest.importorskip("h5py", reason="h5py is not installed")
pytest.importorskip("uproot", reason="uproot is not installed")

FILES = {
    "jetclass.root": "jetclass",
    "jetclass.parquet": "jetclass",
    "jetnet.hdf5": "jetnet",
    "omnilearned.h5": "omnilearned",
    "top_tagging.h5": "top_tagging",
    "fu_tau.parquet": "fu_tau",
    "aspen.h5": "aspen",
    "mapping.root": "mapping",
    "mapping.parquet": "mapping",
    "mapping.h5": "mapping",
    "mapping.npz": "mapping",
    "quark_gluon.npz": "quark_gluon",
    "atlas_top.h5": "atlas_top",
    "nanoaod.root": "nanoaod",
    "nanoaod_events.root": "nanoaod_events",
    "delphes_events.parquet": "delphes_events",
    "physlite_events.parquet": "physlite_events",
    "lhco.h5": "lhco",
    "lhco_features.h5": "lhco_features",
    "omnifold.npz": "omnifold",
    "rs3l.h5": "rs3l",
    "delphes.parquet": "delphes",
    "physlite.parquet": "physlite",
    "edm4hep.parquet": "edm4hep",
    "colliderml.parquet": "colliderml",
    "calochallenge.hdf5": "calochallenge",
    "caloclouds.h5": "caloclouds",
    "getting_high.h5": "getting_high",
}
"""Reader of each file."""

OPTIONS: dict[str, dict[str, Any]] = {
    "jetnet": {"jet_class": "g"},
    "mapping": MAP,
    "physlite": {"jets": "AnalysisJets"},
    **{f"{name}_events": {"generator": True} for name in ("nanoaod", "delphes", "physlite")},
}


@pytest.fixture(scope="module")
def inputs(jet_store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Path]]:
    return make_inputs(tmp_path_factory.mktemp("files"), jet_store)


def test_every_registered_reader_is_tried() -> None:
    assert set(FILES.values()) == set(READERS)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("file", FILES)
def test_contract(file: str, law: Callable[[ReaderCase], None], inputs: dict[str, tuple[str, Path]]) -> None:
    name, path = inputs[file]
    law(ReaderCase(name, path, OPTIONS.get(name, {})))
