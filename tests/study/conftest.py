"""Made-up results for tests of the comparison: a scorer of chosen quality on real store rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.study.compare import Comparison, compare
from hepfm.tasks.base import load_task
from hepfm.tasks.evaluate import measure

TOP = ("QCD", "Tbqq")
ResultMaker = Callable[..., Path]


class NoisyScorer:
    """Knows the truth with a given sharpness; half of its noise belongs to the jet, half to the training."""

    def __init__(self, classes: tuple[str, ...], sharpness: float, training: dict[str, object]) -> None:
        self.classes = classes
        self.sharpness = sharpness
        self.training = training
        self.fingerprint = f"test-{sharpness}-{training['seed']}"

    def score(self, store: Store, rows: np.ndarray) -> np.ndarray:
        names = store.schema["jet_label"].classes
        labels = np.asarray(store.read(["jet_label"], rows)["jet_label"]).astype(int)
        own = np.array([self.classes.index(name) for name in names])[labels]
        shape = (len(rows), len(self.classes))
        mine = np.random.default_rng([int(self.training["seed"]), round(100 * self.sharpness)])
        logits = np.random.default_rng(99).normal(size=shape) + mine.normal(size=shape)
        p = np.exp(logits + self.sharpness * np.eye(len(self.classes))[own])
        return (p / p.sum(1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def top_store(tmp_path_factory, jet_columns) -> Store:
    """Two classes, 800 test jets."""
    path = tmp_path_factory.mktemp("study") / "top"
    columns = jet_columns(800, seed=5)
    columns["jet_label"] = (columns["jet_label"] % 2).astype(np.int16)
    write_store(path, jet_schema(TOP), [("test", columns)], provenance={"source": "test"})
    return Store.open(path)


@pytest.fixture(scope="session")
def make_result(tmp_path_factory, top_store, jet_store) -> ResultMaker:
    """``make_result(sharpness, init=, budget=, seed=, task=...)`` -> result directory."""
    folder = tmp_path_factory.mktemp("results")

    def make(
        sharpness: float, *, task: str = "top_tagging", store: Store | None = None, **training: object
    ) -> Path:
        chosen = load_task(task)
        data = store or (top_store if task == "top_tagging" else jet_store)
        values = {"init": "pretrained", "mode": "full", "budget": 100, "seed": 0, **training}
        name = "-".join(str(value) for value in (task, data.fingerprint, sharpness, *values.values()))
        if not (folder / name).exists():
            measure(NoisyScorer(chosen.classes, sharpness, values), chosen, data, output=folder / name)
        return folder / name

    return make


@pytest.fixture(scope="session")
def study_results(make_result) -> list[Path]:
    """Two arms, three budgets, three seeds on the top task, and one budget of the ten-class task."""
    found = []
    for seed in range(3):
        for budget, tuned, scratch in ((100, 1.9, 0.6), (300, 2.1, 1.1), (1000, 2.2, 1.9)):
            found.append(make_result(tuned + 0.02 * seed, init="pretrained", budget=budget, seed=seed))
            found.append(make_result(scratch + 0.05 * seed, init="scratch", budget=budget, seed=seed))
        found.append(make_result(2.0 + 0.03 * seed, task="jetclass", init="scratch", budget=1000, seed=seed))
    return found


@pytest.fixture(scope="session")
def report(
    study_results: list[Path], top_store: Store, jet_store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Comparison:
    """The comparison of `study_results` with both stores shown; do not write into it."""
    output = tmp_path_factory.mktemp("report") / "report"
    return compare(study_results, output=output, stores=[top_store.path, jet_store.path])


@pytest.fixture(scope="session")
def tops(tmp_path_factory: pytest.TempPathFactory, jet_columns) -> Store:
    """Two classes, 120 training and 150 test jets."""
    path = tmp_path_factory.mktemp("tops") / "top"
    parts = []
    for split, count, seed in (("train", 120, 11), ("test", 150, 12)):
        columns = jet_columns(count, seed=seed)
        columns["jet_label"] = (columns["jet_label"] % 2).astype(np.int16)
        parts.append((split, columns))
    write_store(path, jet_schema(("QCD", "Tbqq")), parts, provenance={"source": "test"})
    return Store.open(path)
