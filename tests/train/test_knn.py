"""Nearest neighbours of a fixed backbone: the votes are those of a direct count, and nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from hepfm.core.config import merge
from hepfm.core.errors import IncompatibleError
from hepfm.data.store import Store
from hepfm.models.check import check
from hepfm.models.directory import Model
from hepfm.models.scores import embed, score
from hepfm.train.finetune import finetune
from hepfm.train.fitted_head import Labelled
from hepfm.train.knn import Knn, KnnConfig
from hepfm.train.run import read_metrics


@pytest.mark.parametrize("weighted", [False, True])
def test_votes_are_those_of_a_direct_count(weighted: bool) -> None:
    rng = np.random.default_rng(0)
    bank, label = rng.normal(size=(40, 5)).astype(np.float32), rng.integers(0, 3, 40)
    weight = rng.uniform(0, 2, 40) if weighted else np.ones(40)
    rows = rng.normal(size=(7, 5)).astype(np.float32)
    knn = Knn(KnnConfig(temperature=0.2))
    head = knn.fit(Labelled(bank, label, weight if weighted else None), 3, 6)
    found = torch.from_numpy(knn.logits(head, rows)).softmax(-1).numpy()
    for row, fractions in zip(rows, found, strict=True):
        cosine = bank @ row / np.linalg.norm(bank, axis=1) / np.linalg.norm(row)
        nearest = np.argsort(-cosine)[:6]
        votes = np.bincount(label[nearest], np.exp(cosine[nearest] / 0.2) * weight[nearest], minlength=3)
        np.testing.assert_allclose(fractions, votes / votes.sum(), atol=1e-5)


def test_more_neighbours_than_rows_are_all_rows() -> None:
    knn = Knn(KnnConfig())
    bank = np.eye(3, dtype=np.float32)
    head = knn.fit(Labelled(bank, np.array([0, 0, 1])), 2, 20)
    fractions = np.exp(knn.logits(head, np.ones((1, 3), np.float32)))
    np.testing.assert_allclose(fractions, [[2 / 3, 1 / 3]], atol=1e-5)


def test_a_model_with_neighbours_keeps_the_backbone_and_the_best_number(
    finetune_recipe: dict[str, Any], tiny_run: Path, tmp_path: Path
) -> None:
    mode = {"name": "knn", "neighbours": [1, 10, 30]}
    values = merge(finetune_recipe, {"data": {"budget": 400}, "mode": mode})
    result = finetune(tiny_run / "model", values, output=tmp_path / "run")
    tried = read_metrics(result.path / "metrics.jsonl", "validation")
    assert [line["neighbours"] for line in tried] == [1, 10, 30]
    best = min(tried, key=lambda line: line["loss"])
    model, before = Model.load(result.model_path), Model.load(tiny_run / "model")
    assert model.metrics["validation_loss"] == best["loss"]
    head = model.network.heads["jet_label"]
    assert head.config.neighbours == best["neighbours"]
    assert head.config.rows == 400 - round(400 * values["data"].get("validation_fraction", 0.2))
    store = Store.open(values["data"]["store"])
    np.testing.assert_allclose(embed(model, store), embed(before, store), atol=1e-6)
    rows = np.asarray(store.split("test"))
    label = store.read(["jet_label"], rows)["jet_label"]
    assert log_loss(label, score(model, store, rows=rows)["jet_label"]) < np.log(10) - 0.1
    assert max(check(result.model_path).values()) < 1e-6


def test_a_number_has_no_neighbours(finetune_recipe: dict[str, Any], tiny_run: Path, tmp_path: Path) -> None:
    objective = {"name": "supervised", "label": "jet_softdrop_mass"}
    values = {**finetune_recipe, "objective": objective, "mode": "knn"}
    with pytest.raises(
        IncompatibleError, match="mode 'knn' needs a categorical label of rows; use mode=frozen"
    ):
        finetune(tiny_run / "model", values, output=tmp_path / "run")
