"""Studies whose store is labelled by the study itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from event_rows import PROCESSES, event_columns

from hepfm.core.config import builtin_recipes
from hepfm.core.errors import ConfigError
from hepfm.data.schemas.events import event_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.study.check import check_study
from hepfm.study.config import read_study
from hepfm.study.plan import make_plan
from hepfm.study.study import study
from hepfm.workflow.open_stores import open_stores

LABELS = {"particles": {"top": {"at_least": [1]}, "z": {"at_least": [1]}}}
SHORT = {"steps": 3, "batch_size": 16, "validate_every": 3, "checkpoint_every": 3, "device": "cpu"}


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Store:
    shards = [(split, event_columns(60, seed=seed)) for seed, split in enumerate(("train", "val", "test"))]
    path = tmp_path_factory.mktemp("events") / "store"
    write_store(path, event_schema(PROCESSES, truth=True), shards, provenance={})
    return Store.open(path)


def values(events: Store) -> dict[str, Any]:
    return {
        "stores": {"events": str(events.path), "pretrain": {"label": "events", "labels": LABELS}},
        "seeds": {"replicates": [1], "pretrain": [1]},
        "pretrain": {
            "recipe": {
                "data": {"store": "", "features": "event", "max_constituents": 12},
                "backbone": {"name": "event_graph", "size": "xs"},
                "train": SHORT,
            },
            "sizes": ["xs"],
        },
        "arms": {"scratch": None, "labels": "multi_label"},
        "downstream": {
            "classification": {
                "store": "events",
                "budgets": [30],
                "objective": "supervised",
                "recipe": {"data": {"store": ""}, "train": SHORT},
            }
        },
    }


@pytest.mark.enable_socket  # Dask talks to itself
def test_a_study_labels_its_store_and_trains_on_it(events: Store, tmp_path: Path) -> None:
    study(values(events), output=tmp_path / "study", processes=1)
    (labelled,) = [path for path in (tmp_path / "study").rglob("store") if "label" in str(path.parent)]
    assert "truth_z_at_least_1" in Store.open(labelled).schema
    assert (tmp_path / "study" / "report").exists()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"label": "event", "labels": LABELS}, r"stores\.pretrain\.label names no store of the study"),
        ({"label": "events", "labels": {"particles": {}}}, "at least 1"),
        ({"label": "events", "labels": "event_trut"}, "did you mean 'event_truth'"),
        ({"label": "events"}, "labels"),
    ],
)
def test_a_store_that_cannot_be_labelled_is_refused(events: Store, entry: dict[str, Any], said: str) -> None:
    study_values = values(events)
    study_values["stores"]["pretrain"] = entry
    with pytest.raises(ConfigError, match=said):
        open_stores(read_study(study_values).stores)


@pytest.mark.parametrize("name", ["event_classifier_cpu", "numbers_cpu", "numbers_jets_cpu"])
def test_built_in_studies_of_events_and_numbers_can_work(name: str) -> None:
    pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
    assert name in builtin_recipes("study")
    config = read_study(name)
    check_study(make_plan(config, open_stores(config.stores)))
