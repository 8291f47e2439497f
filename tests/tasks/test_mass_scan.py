"""Networks and tasks that are functions of a mass hypothesis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from event_rows import event_columns

from hepfm.api import evaluate, predict, pretrain
from hepfm.core.draws import Draws
from hepfm.core.errors import ConfigError, DataError, IncompatibleError
from hepfm.core.ragged import lists
from hepfm.data.event_features import is_reconstructed
from hepfm.data.hypothesis import Hypothesis
from hepfm.data.schemas.events import event_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.models.directory import Model
from hepfm.objectives.parametrised import VIEW

MASSES = (400.0, 800.0, 1200.0)
CLASSES = ("background", "signal")


def columns_of(rows: int, seed: int) -> dict[str, object]:
    """Return events whose signal differs from the background by a total energy that rises with its mass."""
    columns: dict[str, object] = dict(event_columns(rows, seed=seed, processes=("ttbar", "ttbar")))
    rng = np.random.default_rng(seed)
    signal = np.arange(rows) % 2 == 1
    mass = np.where(signal, rng.choice(MASSES, rows), 0.0)
    # The background has the same spectrum as all signals together: only the hypothesis tells which is which.
    of = np.where(signal, mass, rng.choice(MASSES, rows)) * rng.normal(1, 0.05, rows)
    for name in ("object_pt", "object_energy"):
        values = lists(columns, name)
        seen = values.with_values(np.where(is_reconstructed(columns), values.values, 0))
        total = np.bincount(seen.row_index(), seen.values, minlength=rows)
        if name == "object_pt":
            factor = np.repeat(of / total, values.lengths)
        columns[name] = values.with_values((values.values * factor).astype(np.float32))
    columns["event_resonance_mass"] = mass.astype(np.float32)
    return columns


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("masses") / "store"
    shards = [
        (split, columns_of(n, k))
        for k, (split, n) in enumerate({"train": 1000, "val": 60, "test": 600}.items())
    ]
    write_store(path, event_schema(CLASSES, truth=True), shards, provenance={"source": "random"})
    return Store.open(path)


def recipe(store: Store, **changes: object) -> dict[str, object]:
    return {
        "data": {
            "store": str(store.path),
            "features": "event",
            "context": "resonance_mass",
            "max_constituents": 18,
        },
        "backbone": {"name": "transformer", "width": 32, "depth": 1, "num_heads": 4},
        "objective": {"name": "parametrised", "signal": ["signal"], "values": list(MASSES)},
        "train": {
            "steps": 150,
            "batch_size": 128,
            "device": "cpu",
            "optimizer": {"name": "adamw", "lr": 3.0e-3},
        },
        **changes,
    }


@pytest.fixture(scope="module")
def model(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(recipe(store), output=tmp_path_factory.mktemp("masses") / "run").model_path


TASK = {"name": "mass_scan", "signal": "signal", "background": "background", "masses": MASSES}


def test_a_network_that_is_told_the_mass_finds_it(store: Store, model: Path, tmp_path: Path) -> None:
    plain = recipe(store, objective="supervised")
    plain["data"] = {**plain["data"], "context": None}  # type: ignore[dict-item]
    without = pretrain(plain, output=tmp_path / "plain").model_path
    results = [
        evaluate(path, TASK, store, output=tmp_path / path.parent.name / "result").result
        for path in (model, without)
    ]
    told, blind = ({m.name: m.value for m in result.metrics} for result in results)
    assert told["mean_auc"] > 0.75
    # Without the mass, signal and background have the same spectrum.
    assert blind["mean_auc"] < 0.6
    assert told["mean_auc"] == pytest.approx(np.mean([told[f"auc_{mass:g}"] for mass in MASSES]))


def test_background_rows_are_given_values_and_signal_rows_keep_theirs(store: Store, model: Path) -> None:
    loaded = Model.load(model)
    from hepfm.core.config import resolve_component
    from hepfm.data.pool import RowPool
    from hepfm.objectives import OBJECTIVES

    component = resolve_component(OBJECTIVES, recipe(store)["objective"], where="test")
    objective = component.cls(component.config, loaded.network, store.schema)
    content = replace(loaded.content(store), labels=("event_label",))
    rows = np.arange(1000)
    batch = RowPool(store, content, rows).batch(rows)
    draws = Draws(1, "train", 3)
    shown = objective.views(loaded.network, batch, draws)[VIEW].batch
    assert shown.context_BC is not None
    signal = batch.labels["event_label"] == 1
    assert (shown.context_BC[signal] == batch.context_BC[signal]).all()
    values, counts = torch.unique(shown.context_BC[~signal], return_counts=True)
    assert values.tolist() == list(MASSES)
    assert (counts > 120).all()
    # The value belongs to the row and the step, not to the batch.
    part = RowPool(store, content, rows).batch(rows[500:600])
    again = objective.views(loaded.network, part, draws)[VIEW].batch.context_BC
    assert (again == shown.context_BC[torch.isin(shown.rows_B, part.rows_B)]).all()
    other = objective.views(loaded.network, batch, Draws(1, "train", 4))[VIEW].batch.context_BC
    assert (other != shown.context_BC).any()


def test_a_hypothesis_is_what_the_model_reads(store: Store, model: Path, tmp_path: Path) -> None:
    scores = {}
    for mass in MASSES[:2]:
        predict(
            model,
            store,
            output=tmp_path / f"{mass:g}.parquet",
            split="test",
            observers=["event_resonance_mass"],
            assume={"event_resonance_mass": mass},
        )
        scores[mass] = pq.read_table(tmp_path / f"{mass:g}.parquet").to_pandas()
    first, second = scores.values()
    assert not np.allclose(first["event_label_signal"], second["event_label_signal"])
    assert (
        first["event_resonance_mass"]
        == store.read(["event_resonance_mass"], store.split("test"))["event_resonance_mass"]
    ).all()
    source = Hypothesis(store, {"event_resonance_mass": 700})
    assert set(source.read(["event_resonance_mass"], [3, 1])["event_resonance_mass"]) == {700}
    assert source.fingerprint != store.fingerprint
    assert (source.read(["event_label"])["event_label"] == store.read(["event_label"])["event_label"]).all()


@pytest.mark.parametrize(
    ("objective", "data", "message"),
    [
        ({"signal": ["signl"], "values": [1, 2]}, {}, "did you mean 'signal'"),
        ({"signal": list(CLASSES), "values": [1, 2]}, {}, "no other class"),
        ({"signal": ["signal"], "values": [1, 2]}, {"context": "event"}, "has no 'resonance_mass'"),
        ({"signal": ["signal"], "values": [1, 1]}, {}, "names one twice"),
    ],
)
def test_bad_recipes(store: Store, tmp_path: Path, objective: dict, data: dict, message: str) -> None:  # type: ignore[type-arg]
    bad = recipe(store, objective={"name": "parametrised", **objective})
    bad["data"] = {**bad["data"], **data}  # type: ignore[dict-item]
    with pytest.raises((IncompatibleError, ConfigError), match=message):
        pretrain(bad, output=tmp_path / "run")


def test_bad_scans(store: Store, model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no signal row .* = 500; there are 400, 800, 1200"):
        evaluate(model, {**TASK, "masses": [500]}, store, output=tmp_path / "a")
    with pytest.raises(ConfigError, match="--masses 500,1000"):
        evaluate(model, {**TASK, "masses": []}, store, output=tmp_path / "c")
    with pytest.raises(DataError, match="is categorical of the event"):
        evaluate(model, {**TASK, "parameter": "event_label"}, store, output=tmp_path / "b")
    with pytest.raises(DataError, match="is continuous of the object"):
        Hypothesis(store, {"object_pt": 1.0})
