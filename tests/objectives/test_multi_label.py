"""Many labels at once: the loss against scikit-learn, balanced answers, and what is refused."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from builders import loss_of, number
from sklearn.metrics import accuracy_score, log_loss

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, DataError, IncompatibleError
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.train.learner import Learner, make_learner

NAMES = ("truth_a", "truth_b", "truth_c")
TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}


def schema() -> Schema:
    labels = tuple(
        Field(name, Level.OBJECT, Kind.CATEGORICAL, dtype="int8", classes=("no", "yes")) for name in NAMES
    )
    return jet_schema(("QCD", "Hbb", "Tbqq"), extra=labels)


def build(**options: Any) -> Learner:
    component = resolve_component(OBJECTIVES, {"name": "multi_label", **options}, where="test")
    with seeded_init(0, "test"):
        network = build_network(resolve_component(BACKBONES, TINY, where="test"), feature_set("kin"))
        return make_learner(component, network, schema()).eval()


def labelled(rows: int = 20) -> Batch:
    place = torch.arange(rows)
    labels = {"truth_a": place % 2, "truth_b": (place % 5 == 0).long(), "truth_c": (place % 10 == 0).long()}
    return replace(random_batch(feature_set("kin"), rows=rows), labels=labels)


def probabilities(learner: Learner, batch: Batch) -> dict[str, np.ndarray[Any, Any]]:
    said = learner.network(batch)
    return {name: said[name].softmax(-1).detach().numpy() for name in NAMES}


def test_the_loss_is_the_mean_of_binary_cross_entropies() -> None:
    learner, batch = build(), labelled()
    loss, said = loss_of(learner, batch), probabilities(learner, batch)
    truth = {name: batch.labels[name].numpy() for name in NAMES}
    expected = np.mean([log_loss(truth[name], said[name]) for name in NAMES])
    assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-5)
    correct = np.mean([accuracy_score(truth[name], said[name].argmax(1)) for name in NAMES])
    assert number(loss, "accuracy") == pytest.approx(correct)


def test_weights_of_rows_and_of_labels_are_those_of_scikit_learn() -> None:
    learner, batch = build(label_weights={"truth_b": 3.0}), labelled()
    batch = replace(batch, weights_B=torch.linspace(0.1, 2.0, len(batch)))
    said, weights = probabilities(learner, batch), batch.weights_B.numpy()  # type: ignore[union-attr]
    each = [
        log_loss(batch.labels[name].numpy(), said[name], sample_weight=weights)
        * (3.0 if name == "truth_b" else 1.0)
        for name in NAMES
    ]
    assert float(loss_of(learner, batch).total.detach()) == pytest.approx(sum(each) / 5.0, rel=1e-5)


def test_balanced_answers_count_alike() -> None:
    learner, batch = build(balance=True), labelled()
    learner.prepare([batch])
    said = probabilities(learner, batch)
    each = []
    for name in NAMES:
        truth = batch.labels[name].numpy()
        of_true = -np.log(said[name][np.arange(len(truth)), truth])
        each.append(0.5 * (of_true[truth == 1].mean() + of_true[truth == 0].mean()))
    assert float(loss_of(learner, batch).total.detach()) == pytest.approx(np.mean(each), rel=1e-5)


def test_no_answer_counts_more_than_allowed() -> None:
    learner, batch = build(balance=True, most_balance=2.0), labelled()
    learner.prepare([batch])
    weights = learner.objective.answer_weight_K2
    assert isinstance(weights, torch.Tensor)
    assert float(weights.max()) == 2.0  # 0.5 / 0.1 without the limit
    assert float(weights[0, 1]) == pytest.approx(1.0)


def test_a_label_with_one_answer_is_told_or_refused(caplog: pytest.LogCaptureFixture) -> None:
    batch = labelled()
    constant = replace(batch, labels={**batch.labels, "truth_b": torch.zeros(len(batch), dtype=torch.int64)})
    with caplog.at_level(logging.WARNING, logger="hepfm"):
        build().prepare([constant])
    assert "one answer in all of 20 training rows: truth_b" in caplog.text
    with pytest.raises(DataError, match="truth_b has one answer in all of 20 training rows"):
        build(balance=True).prepare([constant])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": ["top_*"]}, "have no field 'top_\\*'"),
        ({"labels": ["truth_d"]}, "did you mean 'truth_"),
        ({"labels": ["jet_label"]}, "'jet_label' is categorical of the object with 3 classes"),
        ({"labels": ["jet_pt"]}, "'jet_pt' is continuous of the object"),
        ({"labels": ["part_charge"]}, "of the constituent"),
        ({"label_weights": {"truth_d": 2.0}}, "label_weights names truth_d"),
        ({"head": "classify_constituents"}, "an output for each constituent"),
    ],
)
def test_what_is_no_label_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(IncompatibleError, match=said):
        build(**options)


def test_bad_options() -> None:
    with pytest.raises(ConfigError, match="labels"):
        build(labels=[])
    with pytest.raises(ConfigError, match="label_weights"):
        build(label_weights={"truth_a": 0.0})
    with pytest.raises(ConfigError, match="most_balance"):
        build(most_balance=0.5)
