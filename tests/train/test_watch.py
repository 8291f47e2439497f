"""The watch on collapse: numbers of known embeddings, and a run that says that its own has collapsed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepfm.data.store import Store
from hepfm.metrics.representation import lidar, spread
from hepfm.objectives.jepa import JEPA
from hepfm.train.fitted_head import Labelled
from hepfm.train.pretrain import dry_run, pretrain
from hepfm.train.resume import resume
from hepfm.train.run import read_metrics
from hepfm.train.watch import Watch, _accuracies

RNG = np.random.default_rng(0)
HEALTHY = RNG.normal(size=(300, 8)) + 5.0


def test_the_rank_of_gaussian_vectors_is_their_dimension_whatever_their_mean() -> None:
    assert 7 < spread(HEALTHY).rankme <= 8.01
    assert spread(HEALTHY).spread == pytest.approx(1 / 26, rel=0.1)
    assert not spread(HEALTHY).collapsed


@pytest.mark.parametrize(
    "vectors",
    [
        np.ones((300, 8)),
        np.ones((300, 8)) + 1e-4 * RNG.normal(size=(300, 8)),
        np.outer(RNG.normal(size=300), np.ones(8)) + 1.0,
        np.full((300, 8), np.nan),
        np.zeros((300, 8)),
    ],
    ids=["one point", "nearly one point", "a line", "not finite", "zero"],
)
def test_a_collapsed_embedding_is_called_so(vectors: Any) -> None:
    assert spread(vectors).collapsed


def test_lidar_counts_directions_that_tell_rows_apart_not_those_that_differ_between_views() -> None:
    rows = np.zeros((100, 1, 8))
    rows[..., :3] = RNG.normal(size=(100, 1, 3))
    noise = np.zeros((100, 4, 8))
    noise[..., 3:] = 0.5 * RNG.normal(size=(100, 4, 5))
    assert lidar(rows + noise) == pytest.approx(3, abs=0.3)
    assert spread((rows + noise)[:, 0]).rankme > 6


def test_neighbours_and_probe_find_classes_that_are_there_and_none_that_are_not() -> None:
    label = np.arange(300) % 3
    apart = HEALTHY + 4 * np.eye(8)[label]
    for vectors, found in ((apart, True), (HEALTHY, False)):
        rows = vectors.astype(np.float32)
        accuracies = _accuracies(Labelled(rows[:200], label[:200]), Labelled(rows[200:], label[200:]))
        assert set(accuracies) == {"knn_accuracy", "probe_accuracy"}
        for accuracy in accuracies.values():
            assert accuracy > 0.9 if found else accuracy < 0.55
    rows[0] = np.nan
    assert _accuracies(Labelled(rows[:200], label[:200]), Labelled(rows[200:], label[200:])) == {}


def recipe(store: Store) -> dict[str, Any]:
    return {
        "data": {"store": str(store.path), "features": "kin"},
        "backbone": {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2},
        "objective": "jepa",
        "train": {"steps": 2, "batch_size": 32, "accumulate": 1, "device": "cpu", "validate_every": 2},
    }


@pytest.mark.parametrize("collapsed", [False, True])
def test_a_run_that_collapses_says_so_in_its_log_and_at_its_end(
    collapsed: bool,
    jet_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if collapsed:
        after_step = JEPA.after_step

        def flatten(self: JEPA, network: Any, step: int, num_steps: int) -> None:
            network.backbone.norm.weight.data.zero_()  # every row has the norm's bias as its vector
            after_step(self, network, step, num_steps)

        monkeypatch.setattr(JEPA, "after_step", flatten)
    result = pretrain(recipe(jet_store), output=tmp_path / "run")
    (line,) = read_metrics(tmp_path / "run" / "metrics.jsonl", "validation")
    named = {name.removeprefix("embedding_") for name in line if name.startswith("embedding_")}
    assert named == {"rankme", "spread", "lidar", "knn_accuracy", "probe_accuracy"}
    said = "the embedding has collapsed"
    assert (said in caplog.text) == collapsed
    assert bool(result.warning and said in result.warning) == collapsed
    assert resume(result.path).warning == result.warning


def test_the_time_of_a_validation_in_a_dry_run_is_that_with_the_watch(
    jet_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watch, "measure", lambda self, learner, device: time.sleep(1.0))
    assert dry_run(recipe(jet_store)).validation_seconds > 1.0
