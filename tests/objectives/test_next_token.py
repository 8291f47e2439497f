"""The next-token loss weighs every code alike, so that rows get the lengths that they have in the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hepfm import api
from hepfm.core.ragged import Ragged
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store

SHORT, LONG = 2, 20
TRAIN = {
    "batch_size": 64,
    "accumulate": 2,
    "optimizer": {"name": "adamw", "lr": 1e-2},
    "validate_every": 500,
    "checkpoint_every": 500,
    "device": "cpu",
}


def rows(count: int) -> dict[str, np.ndarray | Ragged]:
    """Return jets of 2 or of 20 constituents, half of each; the k-th constituent is the same in all."""
    lengths = np.where(np.arange(count) % 2, LONG, SHORT)
    rank = np.concatenate([np.arange(n) for n in lengths])
    pt = 100 * 0.8**rank
    row = np.repeat(np.arange(count), lengths)
    total = np.bincount(row, pt)
    lists = {"part_pt": pt, "part_eta": 0 * pt, "part_phi": 0 * pt, "part_energy": pt}
    jets = {"jet_pt": total, "jet_eta": 0 * total, "jet_phi": 0 * total, "jet_energy": total}
    columns = {name: values.astype(np.float32) for name, values in jets.items()}
    ragged = {name: Ragged.from_lengths(values.astype(np.float32), lengths) for name, values in lists.items()}
    return {**columns, **ragged, "jet_label": np.zeros(count, np.int16)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    schema = jet_schema(("QCD",), identity=False, tracks=False, substructure=False)
    parts = [("train", rows(256)), ("val", rows(64))]
    return Store.open(write_store(tmp_path_factory.mktemp("rows") / "store", schema, parts, provenance={}))


@pytest.fixture(scope="module")
def model(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("next_token")
    data = {"store": str(store.path), "features": "massless"}
    tokenizer = {
        "data": data,
        "backbone": "none",
        "objective": {"name": "tokenize", "tokenizer": {"name": "kmeans", "codes": LONG}},
        "train": {**TRAIN, "steps": 1},
    }
    api.tokenize(tokenizer, output=folder / "tokenizer")
    recipe = {
        "data": data,
        "tokenizer": {"model": str(folder / "tokenizer" / "model"), "inputs": "codes"},
        "backbone": {"name": "post_norm_transformer", "width": 16, "depth": 1, "num_heads": 2},
        "objective": {"name": "next_token", "max_constituents": 32},
        "train": {**TRAIN, "steps": 250},
    }
    return api.pretrain(recipe, output=folder / "run").path / "model"


def test_rows_are_generated_as_long_as_they_are(model: Path, tmp_path: Path) -> None:
    made = Store.open(api.generate(model, n=600, output=tmp_path / "made", seed=1))
    lengths = made.read(["part_pt"])["part_pt"].lengths
    assert np.isin(lengths, (SHORT, LONG)).mean() > 0.9
    # A mean over each row would make long ones 1/8 of all: (1 / 21) / (1 / 3 + 1 / 21).
    assert (lengths > SHORT).mean() == pytest.approx(0.5, abs=0.08)
