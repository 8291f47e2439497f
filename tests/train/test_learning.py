"""Training learns what is there, judged by scikit-learn, and nothing from shuffled labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.models.directory import Model
from hepfm.models.scores import score
from hepfm.train.finetune import finetune
from hepfm.train.pretrain import pretrain
from hepfm.train.run import read_metrics

JetColumns = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", params=["true labels", "shuffled labels"])
def two_classes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, jet_columns: JetColumns
) -> tuple[Path, bool]:
    """Narrow jets against wide ones, with their labels or with labels dealt at random."""
    shuffled = request.param == "shuffled labels"
    path = tmp_path_factory.mktemp("learning") / "store"
    parts = []
    for seed, split in enumerate(("train", "val", "test")):
        columns = jet_columns(1200, seed=seed)
        label = (columns["jet_label"] >= 5).astype(np.int16)
        columns["jet_label"] = np.random.default_rng(seed).permutation(label) if shuffled else label
        parts.append((split, columns))
    write_store(path, jet_schema(("narrow", "wide")), parts, provenance={})
    return path, shuffled


def auc(model: Path, store: Store) -> float:
    rows = np.asarray(store.split("test"))
    scores = score(Model.load(model), store, rows=rows)["jet_label"][:, 1]
    return float(roc_auc_score(store.read(["jet_label"], rows)["jet_label"], scores))


def test_separable_classes_are_learned_and_shuffled_labels_are_not(
    recipe: dict[str, Any], two_classes: tuple[Path, bool], tmp_path: Path
) -> None:
    path, shuffled = two_classes
    store = Store.open(path)
    options = [f"data.store={path}", "train.steps=120", "train.validate_every=120", "train.ema=0.95"]
    model = pretrain(recipe, output=tmp_path / "pretrain", overrides=options).model_path
    tuned = finetune(
        model,
        {"data": {"store": str(path), "budget": 200}, "mode": "frozen", "train": recipe["train"]},
        output=tmp_path / "finetune",
        overrides=["train.steps=60", "train.optimizer.lr=0.03"],
    ).model_path
    if shuffled:
        # the spread of the AUC of 1200 random scores is 0.017; five of it
        assert abs(auc(model, store) - 0.5) < 0.085
        assert abs(auc(tuned, store) - 0.5) < 0.085
    else:
        assert auc(model, store) > 0.9
        assert auc(tuned, store) > 0.9


GOLDEN = (3.3103046, 2.6497188, 2.3334775, 2.3005557, 2.3148053, 2.2436271, 2.2294147, 2.1842334)
"""Losses of the small recipe, dropout off, seed 3, on one thread of torch 2.13."""


def test_the_loss_curve_is_the_golden_one(recipe: dict[str, Any], tmp_path: Path) -> None:
    result = pretrain(recipe, output=tmp_path / "run", overrides=["backbone.dropout=0"])
    losses = [line["loss"] for line in read_metrics(result.path / "metrics.jsonl", "train")]
    np.testing.assert_allclose(losses, GOLDEN, rtol=1e-5)
