"""A small recipe that trains in a second, and a model made by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from event_rows import PROCESSES, event_columns

from hepfm.core.schema import Field, Kind, Level
from hepfm.data.schemas.events import event_schema
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.train.pretrain import pretrain

TINY = {"name": "transformer", "width": 16, "depth": 2, "num_heads": 2, "num_registers": 1}


def tiny_recipe(store: Store, **train: Any) -> dict[str, Any]:
    """Return values of a pre-training recipe with the options of ``train`` laid over small ones."""
    options = {
        "steps": 8,
        "batch_size": 64,
        "accumulate": 1,
        "optimizer": {"name": "adamw", "lr": 3e-3},
        "log_every": 1,
        "validate_every": 4,
        "checkpoint_every": 4,
        "device": "cpu",
    }
    return {
        "data": {"store": str(store.path), "features": "kin"},
        "backbone": {**TINY, "dropout": 0.1},
        "objective": "supervised",
        "train": {**options, **train},
        "seed": 3,
    }


ORIGIN = Field(
    "jet_origin", Level.OBJECT, Kind.COUNT, dtype="int64", description="which jets belong together"
)


def write_groups(path: Path, jet_columns: Any, *, members: int) -> Store:
    """Write 192 training jets, 96 for validation and 12 for tests in groups of some members."""
    schema = replace(jet_schema(JETCLASS_CLASSES, extra=(ORIGIN,)), group=ORIGIN.name)
    parts = []
    for number, (split, rows) in enumerate((("train", 192), ("val", 96), ("test", 12))):
        origin = 1000 * number + np.arange(rows) // members
        parts.append((split, {**jet_columns(rows, seed=number), ORIGIN.name: origin}))
    write_store(path, schema, parts, provenance={"source": "test jets"})
    return Store.open(path)


@pytest.fixture(scope="session")
def grouped_store(tmp_path_factory: pytest.TempPathFactory, jet_columns: Any) -> Store:
    """A store of jets in groups of three."""
    return write_groups(tmp_path_factory.mktemp("grouped") / "jets", jet_columns, members=3)


@pytest.fixture
def store_of_singles(tmp_path: Path, jet_columns: Any) -> Store:
    """A store of jets each of which is a group of its own."""
    return write_groups(tmp_path / "singles", jet_columns, members=1)


@pytest.fixture
def recipe(jet_store: Store) -> dict[str, Any]:
    """The small recipe."""
    return tiny_recipe(jet_store)


@pytest.fixture(scope="session")
def tiny_run(jet_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with EMA; do not write into it."""
    output = tmp_path_factory.mktemp("runs") / "tiny"
    pretrain(tiny_recipe(jet_store, ema=0.9), output=output)
    return output


@pytest.fixture
def finetune_recipe(jet_store: Store) -> dict[str, Any]:
    """A small fine-tuning recipe."""
    train = {**tiny_recipe(jet_store)["train"], "batch_size": 16, "validate_every": 2}
    return {"data": {"store": str(jet_store.path), "budget": 60}, "train": train, "seed": 3}


HITS = {"name": "regression", "features": ["log_hit_energy", "hit_x", "hit_y", "hit_layer"]}
MASKED = {"name": "masked", "fraction": 0.4, "targets": [HITS]}


@pytest.fixture(scope="session")
def event_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of 90 train and 40 val events of two processes; do not write into it."""
    path = tmp_path_factory.mktemp("joint") / "events"
    shards = [(split, event_columns(size, seed=size)) for split, size in (("train", 90), ("val", 40))]
    write_store(path, event_schema(PROCESSES, truth=True), shards, provenance={"source": "random"})
    return Store.open(path)


@pytest.fixture
def joint_recipe(
    recipe: dict[str, Any], jet_store: Store, shower_store: Store, event_store: Store
) -> dict[str, Any]:
    """A small joint recipe: processes of events, classes of jets, masked hits of showers."""
    domains: dict[str, Any] = {
        "jets": {"data": recipe["data"], "objective": "supervised"},
        "events": {
            "data": {"store": str(event_store.path), "features": "event", "context": "event"},
            "objective": "supervised",
        },
        "showers": {
            "data": {"store": str(shower_store.path), "features": "calo", "max_constituents": 20},
            "objective": MASKED,
            "weight": 0.5,
        },
    }
    kept = {key: value for key, value in recipe.items() if key not in ("data", "objective")}
    train = {**recipe["train"], "batch_size": 32, "accumulate": 2, "ema": 0.9}
    return {**kept, "domains": domains, "train": train}
