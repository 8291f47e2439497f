"""Events through the loop that jets go through: trained, measured, beside what trivial answers score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from event_rows import PROCESSES, event_columns

from hepfm.api import check, evaluate, pretrain
from hepfm.data.event_features import EVENT_CONTEXT
from hepfm.data.schemas.events import event_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.train.row_baseline import inputs_of, read_inputs

RECIPE = {
    "data": {"features": "event", "context": "event", "max_constituents": 18},
    "backbone": {"name": "transformer", "size": "xs", "depth": 1},
    "objective": "supervised",
    "train": {"steps": 40, "batch_size": 64, "device": "cpu", "validation_rows": 50},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("events") / "store"
    sizes = {"train": 400, "val": 60, "test": 200}
    shards = [(split, event_columns(size, seed=seed)) for seed, (split, size) in enumerate(sizes.items())]
    write_store(path, event_schema(PROCESSES, truth=True), shards, provenance={"source": "random"})
    return Store.open(path)


def test_numbers_of_a_whole_event_are_those_of_reconstructed_objects(store: Store) -> None:
    assert inputs_of(store.schema) == EVENT_CONTEXT.names
    values = read_inputs(store, store.split("test"), max_constituents=3)
    assert values.shape == (200, len(EVENT_CONTEXT))
    columns = event_columns(200, seed=2)
    assert (values == EVENT_CONTEXT.compute(columns, np.zeros(0, np.int64))).all()


def test_a_network_learns_processes(store: Store, tmp_path: Path) -> None:
    recipe = {**RECIPE, "data": {**RECIPE["data"], "store": str(store.path)}}
    model = pretrain(recipe, output=tmp_path / "run").model_path
    task = {"name": "classification", "field": "event_label", "signal": "ttbar", "background": "Zjets"}
    result = evaluate(model, task, store, output=tmp_path / "result").result
    metrics = {metric.name: metric.value for metric in result.metrics}
    # The processes differ in the numbers of leptons, jets and b tags.
    assert metrics["auc"] > 0.99
    row, majority = result.baselines
    assert row.title == f"row baseline ({len(EVENT_CONTEXT)} numbers)"
    assert {metric.name: metric.value for metric in majority.metrics}["auc"] == 0.5


@pytest.mark.parametrize("name", ["particle_transformer", "lgatr_slim"])
def test_networks_that_read_four_momenta_take_those_of_objects(
    store: Store, tmp_path: Path, name: str
) -> None:
    if name == "lgatr_slim":
        pytest.importorskip("lgatr")
    recipe = {**RECIPE, "backbone": {"name": name, "size": "xs"}}
    recipe["data"] = {**RECIPE["data"], "store": str(store.path), "context": None}
    model = pretrain(recipe, output=tmp_path / "run", smoke=True).model_path
    assert max(check(model).values()) < 1e-4
