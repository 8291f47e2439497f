"""Origins of constituents and vertices of tracks from training to result, on jets whose d0 tells them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from hepfm.api import finetune, predict, pretrain
from hepfm.core.errors import ConfigError, DataError, IncompatibleError
from hepfm.core.ragged import Ragged
from hepfm.data.schemas.jets import JETCLASS_CLASSES, NO_VERTEX, ORIGIN_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.models.directory import Model
from hepfm.tasks.evaluate import evaluate, summary_lines
from hepfm.tasks.result_folder import read_result
from hepfm.testing.tasks import save_scoring_model

TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}
TRAIN = {
    "steps": 60,
    "batch_size": 32,
    "optimizer": {"name": "adamw", "lr": 1e-2},
    "schedule": {"name": "cosine", "warmup": 0},
    "validate_every": 30,
    "device": "cpu",
}


def with_truth(columns: dict[str, Any], *, seed: int) -> dict[str, Any]:
    """Give one track in three a d0 of 3 mm and the origin b, of the second vertex; all else is primary."""
    rng = np.random.default_rng(seed)
    d0: Ragged = columns["part_d0"]
    charged = columns["part_charge"].values != 0
    secondary = charged & (rng.random(len(charged)) < 1 / 3)
    origin = np.where(secondary, ORIGIN_CLASSES.index("b"), ORIGIN_CLASSES.index("primary"))
    vertex = np.where(charged, secondary.astype(int), NO_VERTEX)
    far = np.where(secondary, 3.0, d0.values)
    return {
        **columns,
        "part_d0": d0.with_values(far.astype(np.float32)),
        "part_origin": d0.with_values(origin.astype(np.int8)),
        "part_vertex": d0.with_values(vertex.astype(np.int16)),
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, jet_columns: Any) -> Store:
    """Jets of 3 to 24 constituents."""
    parts = []
    for seed, (split, rows) in enumerate((("train", 320), ("val", 64), ("test", 160))):
        lengths = np.random.default_rng(seed).integers(3, 25, rows)
        parts.append((split, with_truth(jet_columns(rows, seed=seed, lengths=lengths), seed=seed)))
    path = tmp_path_factory.mktemp("truth") / "jets"
    write_store(path, jet_schema(JETCLASS_CLASSES, truth=True), parts, provenance={"source": "test jets"})
    return Store.open(path)


LACKING = [name for name in ORIGIN_CLASSES if name not in ("primary", "b")]


@pytest.fixture(scope="module")
def start(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has hardly been trained, and reads 20 constituents."""
    data = {"store": str(store.path), "features": "full", "max_constituents": 20}
    recipe = {"data": data, "backbone": TINY, "objective": "masked", "train": {**TRAIN, "steps": 2}}
    return pretrain(recipe, output=tmp_path_factory.mktemp("runs") / "start").model_path


Tuned = Callable[[str], Path]


@pytest.fixture(scope="module")
def tuned(store: Store, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """Models that were fine-tuned to origins, or to vertices."""
    folder, made = tmp_path_factory.mktemp("tuned"), {}
    settings = {
        "origin": ({"name": "supervised", "label": "part_origin"}, {"lacking": LACKING, "budget": 300}),
        "vertex": ({"name": "vertices", "focal_gamma": 0.0}, {}),
    }

    def of(name: str) -> Path:
        if name not in made:
            objective, data = settings[name]
            recipe = {"data": {"store": str(store.path), **data}, "objective": objective, "train": TRAIN}
            made[name] = finetune(start, recipe, output=folder / name).model_path
        return made[name]

    return of


@pytest.mark.parametrize("task", ["constituent_origin", "track_origin"])
def test_origins_are_learned_and_measured_beside_the_trivial_answers(
    tuned: Tuned, store: Store, task: str, tmp_path: Path
) -> None:
    evaluation = evaluate(tuned("origin"), task, store, output=tmp_path / "result", device="cpu")
    result = read_result(tmp_path / "result")
    assert [baseline.name for baseline in result.baselines] == ["significance", "majority"]
    table, majority = (baseline.metric("balanced_accuracy") for baseline in result.baselines)
    assert table is not None
    assert majority is not None
    assert table.value == pytest.approx(1.0, abs=0.1)  # 3 mm are ten sigma or more
    assert majority.value == 0.5
    ours = result.metric("balanced_accuracy")
    assert ours.value is not None
    assert ours.value > 0.75
    assert ours.n == result.data.rows == len(store.split("test"))
    counted = store.read(["part_vertex"], store.split("test"))["part_vertex"]
    assert isinstance(counted, Ragged)
    read = np.arange(len(counted.values)) - np.repeat(counted.offsets[:-1], counted.lengths) < 20
    counts = read if task == "constituent_origin" else read & (counted.values != NO_VERTEX)
    assert sum(result.data.rows_per_class.values()) == counts.sum()
    assert result.metric("auc_tau").value is None  # no constituent is of it
    assert "significance of d0 alone" in "\n".join(summary_lines(evaluation))


def test_vertices_are_learned_and_measured_beside_the_trivial_answers(
    tuned: Tuned, store: Store, tmp_path: Path
) -> None:
    evaluate(tuned("vertex"), "vertex_finding", store, output=tmp_path / "result", device="cpu")
    result = read_result(tmp_path / "result")
    ours, (together, alone) = result.metric("adjusted_rand").value, result.baselines
    assert ours is not None
    assert ours > 0.3
    trivial = [baseline.metric("adjusted_rand") for baseline in (together, alone)]
    assert [info.value for info in trivial if info] == pytest.approx([0.0, 0.0], abs=0.05)
    efficiency = together.metric("pair_efficiency")
    assert efficiency is not None
    assert efficiency.value == 1.0


def test_predictions_are_lists_of_the_constituents_that_the_model_reads(
    tuned: Tuned, store: Store, tmp_path: Path
) -> None:
    for name, column in (("origin", "part_origin_b"), ("vertex", "part_vertex_predicted")):
        path = tmp_path / f"{name}.parquet"
        predict(tuned(name), store, output=path, split="test", device="cpu")
        lists = pyarrow.parquet.read_table(path)[column].to_pylist()
        lengths = store.lengths(store.schema["part_pt"].level, store.split("test"))
        assert [len(values) for values in lists] == np.minimum(lengths, 20).tolist()
        with pytest.raises(ConfigError, match=r"must end in \.arrow or \.parquet"):
            predict(tuned(name), store, output=tmp_path / "rows.h5", split="test", device="cpu")


def test_vertices_do_not_depend_on_the_batch(tuned: Tuned, store: Store) -> None:
    from hepfm.models.scores import score

    model = Model.load(tuned("vertex"))
    rows = np.asarray(store.split("test"))
    whole = score(model, store, rows=rows)["part_vertex"]
    single = score(model, store, rows=rows[:20], batch_size=1)["part_vertex"]
    assert np.array_equal(single.values, whole.take(np.arange(20)).values)


def test_classes_that_no_constituent_has_must_be_named(store: Store, start: Path, tmp_path: Path) -> None:
    recipe = {
        "data": {"store": str(store.path)},
        "objective": {"name": "supervised", "label": "part_origin"},
        "train": TRAIN,
    }
    with pytest.raises(DataError, match=r"has part_origin b_to_c or .* data\.lacking="):
        finetune(start, recipe, output=tmp_path / "run")


def test_stores_without_truth_or_tracks_are_refused(
    store: Store, start: Path, jet_store: Store, tmp_path: Path
) -> None:
    model = save_scoring_model(store, "part_origin", tmp_path / "origin")
    for task in ("constituent_origin", "track_origin", "vertex_finding"):
        with pytest.raises(DataError, match="has no field 'part_"):
            evaluate(model, task, jet_store, output=tmp_path / "result", device="cpu")
    objective = {"name": "vertices"}
    recipe = {"data": {"store": str(jet_store.path)}, "objective": objective, "train": TRAIN}
    with pytest.raises(IncompatibleError, match="simulate jets with truth: true"):
        finetune(start, recipe, output=tmp_path / "run")
    recipe["data"], recipe["objective"] = {"store": str(store.path)}, {**objective, "head": "classify"}
    with pytest.raises(IncompatibleError, match="set head to pairs"):
        finetune(start, recipe, output=tmp_path / "run")
    recipe["objective"] = {**objective, "label": "part_origin"}
    with pytest.raises(IncompatibleError, match="learns numbers of vertices of constituents"):
        finetune(start, recipe, output=tmp_path / "run")
