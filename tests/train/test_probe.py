"""The linear probe is the optimum of logistic regression, and only that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from hepfm.core.config import merge
from hepfm.core.errors import IncompatibleError
from hepfm.data.store import Store
from hepfm.models.check import check
from hepfm.models.directory import Model
from hepfm.models.scores import embed, score
from hepfm.train.finetune import finetune
from hepfm.train.fitted_head import Labelled, _score
from hepfm.train.probe import fit_logistic
from hepfm.train.run import read_metrics


@pytest.mark.parametrize("num_classes", [2, 3])
def test_weights_for_raw_features_give_the_scores_of_standardised_ones(num_classes: int) -> None:
    rng = np.random.default_rng(0)
    features, label = rng.normal(3.0, [1.0, 100.0], (300, 2)), rng.integers(0, num_classes, 300)
    features[:, 0] += label
    weights = fit_logistic(Labelled(features, label), num_classes, 1.0)
    logits = features @ weights[:, :-1].T + weights[:, -1]
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    standard = (features - features.mean(0)) / features.std(0)
    expected = LogisticRegression().fit(standard, label).predict_proba(standard)
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_loss_and_accuracy_of_a_setting_count_rows_by_weight() -> None:
    logits = np.log(np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]))
    data = Labelled(np.zeros((3, 1)), np.array([0, 1, 1]), np.array([1.0, 2.0, 3.0]))
    found = _score(logits, data)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["loss"] == pytest.approx(-(np.log(0.9) + 2 * np.log(0.2) + 3 * np.log(0.7)) / 6)


def test_the_probe_keeps_the_backbone_and_the_best_penalty(
    finetune_recipe: dict[str, Any], tiny_run: Path, tmp_path: Path
) -> None:
    values = merge(finetune_recipe, {"data": {"budget": 400}, "mode": "probe"})
    result = finetune(tiny_run / "model", values, output=tmp_path / "run")
    tried = read_metrics(result.path / "metrics.jsonl", "validation")
    assert [line["penalty"] for line in tried] == [1.0, 0.01, 0.1, 10.0, 100.0]
    model, before = Model.load(result.model_path), Model.load(tiny_run / "model")
    assert model.metrics["validation_loss"] == min(line["loss"] for line in tried)
    store = Store.open(values["data"]["store"])
    np.testing.assert_allclose(embed(model, store), embed(before, store), atol=1e-6)
    rows = np.asarray(store.split("test"))
    label = store.read(["jet_label"], rows)["jet_label"]
    assert log_loss(label, score(model, store, rows=rows)["jet_label"]) < np.log(10) - 0.2
    assert max(check(result.model_path).values()) < 1e-6


def test_what_a_probe_cannot_do_is_refused(
    finetune_recipe: dict[str, Any], tiny_run: Path, tmp_path: Path
) -> None:
    objective = {"name": "supervised", "label": "jet_softdrop_mass"}
    values = {**finetune_recipe, "objective": objective, "mode": "probe"}
    with pytest.raises(IncompatibleError, match="use mode=frozen"):
        finetune(tiny_run / "model", values, output=tmp_path / "run")


def test_a_class_without_rows_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="class number 2"):
        fit_logistic(Labelled(np.ones((4, 2)), np.array([0, 1, 0, 1])), 3, 1.0)
