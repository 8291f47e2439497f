"""Fixtures that all tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from builders import make_jets
from hypothesis import HealthCheck, settings

from hepfm.core.ragged import Array, Ragged
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.tables.kept import tables_kept_open
from hepfm.data.writer import write_store
from hepfm.simulate.run import simulate
from hepfm.tasks.base import load_task
from hepfm.tasks.evaluate import measure

settings.register_profile("hepfm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hepfm")

# To look for doctests pytest would import conftest files again, all under one name, and stop at the second.
# Scripts that make fixtures import what only their own environment has.
collect_ignore_glob = ["conftest.py", "*/conftest.py", "*/make_*.py"]

JetColumns = Callable[..., dict[str, Array | Ragged]]


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tables_stay_open() -> Iterator[None]:
    """Files that readers open stay open through the tests of a module: large trees take seconds to open."""
    with tables_kept_open():
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of small published files; the test is skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the folder of published sample files is absent: {folder}")
    return folder


@pytest.fixture(scope="session")
def jet_columns() -> JetColumns:
    """The function `make_jets`: ``jet_columns(num_jets, seed=0, lengths=None)``."""
    return make_jets


@pytest.fixture(scope="session")
def jet_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of 600 train, 200 val and 200 test jets of ten classes, all fields; do not write into it."""
    path = tmp_path_factory.mktemp("stores") / "jets"
    parts = [
        ("train", make_jets(600, seed=1)),
        ("val", make_jets(200, seed=2)),
        ("test", make_jets(200, seed=3)),
    ]
    write_store(
        path, jet_schema(JETCLASS_CLASSES), parts, provenance={"source": "test jets", "seeds": [1, 2, 3]}
    )
    return Store.open(path)


@pytest.fixture(scope="session")
def shower_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of 200 train, 32 val and 120 test showers of 1 to 2 GeV; do not write into it."""
    recipe = {
        "kind": "showers",
        "showers": {"train": 200, "val": 32, "test": 120},
        "energy": {"min": 1, "max": 2},
        "chunk_showers": 50,
    }
    path = tmp_path_factory.mktemp("stores") / "showers"
    return Store.open(simulate(recipe, output=path, processes=1).path)


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
