"""Simulation to data: pre-training on rows of one class, fine-tuning on one store, a test on another."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.tasks.evaluate import evaluate
from hepfm.train.finetune import finetune
from hepfm.train.pretrain import pretrain
from hepfm.train.pretraining import Pretraining
from hepfm.train.recipe import read_pretrain_recipe


@pytest.fixture(scope="module")
def dijets(tmp_path_factory: pytest.TempPathFactory, jet_columns: Any) -> Store:
    """Jets whose true class nobody knows."""
    parts = []
    for seed, (split, rows) in enumerate((("train", 128), ("val", 32))):
        columns = {**jet_columns(rows, seed=seed), "jet_label": np.zeros(rows, np.int16)}
        parts.append((split, columns))
    path = tmp_path_factory.mktemp("data") / "dijets"
    return Store.open(write_store(path, jet_schema(("unknown",)), parts, provenance={"source": "test"}))


def test_the_chain_from_data_by_one_simulation_to_another(
    dijets: Store, jet_store: Store, jet_columns: Any, recipe: dict[str, Any], tmp_path: Path
) -> None:
    values = {**recipe, "data": {**recipe["data"], "store": str(dijets.path)}, "objective": "masked"}
    model = pretrain(values, output=tmp_path / "run").model_path
    tuning = {
        "data": {"store": str(jet_store.path), "budget": 200},
        "mode": "probe",
        "objective": "supervised",
        "train": {"steps": 1, "device": "cpu"},
    }
    tuned = finetune(model, tuning, output=tmp_path / "tuned").model_path
    parts = [("test", jet_columns(150, seed=77))]
    other = write_store(tmp_path / "other", jet_schema(JETCLASS_CLASSES), parts, provenance={"source": "t"})
    result = evaluate(tuned, "jetclass", other, output=tmp_path / "result", device="cpu").result
    chance = 0.5
    assert result.metric("auc").value is not None
    assert result.metric("auc").low > chance  # heavier classes have more constituents, in either store


@pytest.mark.parametrize(("objective", "told"), [("supervised", True), ("masked", False)])
def test_an_objective_that_needs_labels_is_told_that_one_class_teaches_nothing(
    objective: str,
    told: bool,
    dijets: Store,
    recipe: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(logging.getLogger("hepfm"), "propagate", True)
    values = {**recipe, "data": {**recipe["data"], "store": str(dijets.path)}, "objective": objective}
    Pretraining.check(read_pretrain_recipe(values))
    assert ("has one class, unknown: it teaches nothing" in caplog.text) is told
