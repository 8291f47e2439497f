"""A small recipe that trains in a second, and a model made by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hepfm.data.store import Store
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
