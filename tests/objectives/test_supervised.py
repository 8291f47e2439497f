"""The supervised objective against closed forms and scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import loss_of, number
from sklearn.metrics import accuracy_score, log_loss

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import Component, resolve_component, validate
from hepfm.core.errors import ConfigError, DataError, IncompatibleError
from hepfm.core.schema import Schema
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives.supervised import Supervised, SupervisedConfig
from hepfm.train.learner import Learner, make_learner

CLASSES = ("QCD", "Hbb", "Tbqq")
TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}


def build(config: SupervisedConfig, schema: Schema | None = None) -> Learner:
    with seeded_init(0, "test"):
        network = build_network(resolve_component(BACKBONES, TINY, where="test"), feature_set("kin"))
        component = Component("supervised", Supervised, config)
        return make_learner(component, network, schema or jet_schema(CLASSES)).eval()


def labelled(rows: int = 16) -> Batch:
    batch = random_batch(feature_set("kin"), rows=rows)
    return replace(
        batch, labels={"jet_label": torch.arange(rows) % 3, "jet_pt": torch.linspace(500, 1000, rows)}
    )


def test_loss_and_accuracy_are_those_of_scikit_learn() -> None:
    objective, batch = build(SupervisedConfig()), labelled()
    loss = loss_of(objective, batch)
    scores = objective.network(batch)["jet_label"].softmax(-1).detach().numpy()
    label = batch.labels["jet_label"].numpy()
    assert float(loss.total.detach()) == pytest.approx(log_loss(label, scores), rel=1e-5)
    assert number(loss, "accuracy") == pytest.approx(accuracy_score(label, scores.argmax(1)))
    assert not loss.terms["accuracy"].total.requires_grad


def test_label_smoothing_mixes_in_the_uniform_target() -> None:
    plain, smooth, batch = build(SupervisedConfig()), build(SupervisedConfig(label_smoothing=0.3)), labelled()
    log_scores = plain.network(batch)["jet_label"].log_softmax(-1).detach()
    uniform = -log_scores.mean()
    expected = 0.7 * float(loss_of(plain, batch).total.detach()) + 0.3 * float(uniform)
    assert float(loss_of(smooth, batch).total.detach()) == pytest.approx(expected, rel=1e-5)


def test_a_weight_of_two_is_the_row_twice_and_zero_is_no_row() -> None:
    objective, batch = build(SupervisedConfig()), labelled(4)
    weighted = replace(batch, weights_B=torch.tensor([2.0, 1.0, 0.0, 0.0]))
    losses = [float(loss_of(objective, _rows(batch, [row])).total.detach()) for row in range(2)]
    assert float(loss_of(objective, weighted).total.detach()) == pytest.approx(
        (2 * losses[0] + losses[1]) / 3, rel=1e-5
    )


def _rows(batch: Batch, rows: list[int]) -> Batch:
    assert batch.p4_BN4 is not None
    return Batch(
        batch.features_BNF[rows],
        batch.mask_BN[rows],
        batch.rows_B[rows],
        p4_BN4=batch.p4_BN4[rows],
        labels={name: values[rows] for name, values in batch.labels.items()},
    )


def test_regression_is_huber_in_units_of_the_scale_and_mae_in_physical_units() -> None:
    head = {"name": "regress", "centre": [750.0], "scale": [100.0]}
    config = validate(SupervisedConfig, {"label": "jet_pt", "huber_delta": 1.0, "head": head}, where="test")
    objective, batch = build(config), labelled()
    loss = loss_of(objective, batch)
    value = objective.network(batch)["jet_pt"][:, 0].detach().numpy()
    error = np.abs(value - batch.labels["jet_pt"].numpy())
    huber = np.where(error < 100, 0.5 * (error / 100) ** 2, error / 100 - 0.5)
    assert float(loss.total.detach()) == pytest.approx(huber.mean(), rel=1e-4)
    assert number(loss, "mae") == pytest.approx(error.mean(), rel=1e-4)


def test_every_weight_gets_a_gradient() -> None:
    objective = build(SupervisedConfig()).train()
    loss_of(objective, labelled()).total.backward()
    without = [name for name, weight in objective.named_parameters() if weight.grad is None]
    assert without == []


def test_data_without_labels_are_refused() -> None:
    with pytest.raises(IncompatibleError, match=r"objective\.label=FIELD"):
        Supervised.requirements(SupervisedConfig(), jet_schema())


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (SupervisedConfig(label="part_pt"), "'part_pt' is continuous of the constituent"),
        (SupervisedConfig(label="part_vertex"), "'part_vertex' is count of the constituent"),
        (SupervisedConfig(label="part_origin", view="masked"), "set view=clean"),
        (
            validate(SupervisedConfig, {"label": "part_origin", "head": "classify"}, where="test"),
            "set head to classify_constituents",
        ),
    ],
)
def test_labels_of_constituents_that_cannot_be_learned_are_refused(
    config: SupervisedConfig, said: str
) -> None:
    with pytest.raises(IncompatibleError, match=said):
        Supervised.requirements(config, jet_schema(CLASSES, truth=True))


def test_the_loss_of_constituents_is_that_of_all_real_ones_in_one_table() -> None:
    """A row counts by its constituents; padding, whatever its label says, does not count."""
    objective = build(SupervisedConfig(label="part_origin"), jet_schema(CLASSES, truth=True))
    batch = random_batch(feature_set("kin"), rows=4)
    mask_BN = batch.mask_BN
    truth_BN = torch.arange(mask_BN.numel()).view_as(mask_BN) % 7
    batch = replace(batch, labels={"part_origin": truth_BN.masked_fill(~mask_BN, -1)})
    loss = loss_of(objective, batch)
    scores = objective.network(batch)["part_origin"][mask_BN].softmax(-1).detach().numpy()
    label = truth_BN[mask_BN].numpy()
    assert float(loss.total.detach()) == pytest.approx(log_loss(label, scores, labels=range(7)), rel=1e-5)
    assert number(loss, "accuracy") == pytest.approx(accuracy_score(label, scores.argmax(1)))


def test_an_unknown_label_names_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'jet_pt'"):
        Supervised.requirements(SupervisedConfig(label="jet_ptt"), jet_schema(CLASSES))


def test_an_unknown_head_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'classify'"):
        validate(SupervisedConfig, {"head": "clasify"}, where="test")


def test_only_rows_of_the_chosen_classes_count() -> None:
    """Two of three classes of the label itself: the loss is that of the batch without the third."""
    batch = labelled()
    chosen = batch.labels["jet_label"] != 1
    some = build(SupervisedConfig(only=("jet_label", "Tbqq", "QCD")))
    parts = Batch(
        features_BNF=batch.features_BNF[chosen],
        mask_BN=batch.mask_BN[chosen],
        rows_B=batch.rows_B[chosen],
        p4_BN4=None if batch.p4_BN4 is None else batch.p4_BN4[chosen],
        labels={name: values[chosen] for name, values in batch.labels.items()},
    )
    expected, loss = loss_of(build(SupervisedConfig()), parts), loss_of(some, batch)
    assert float(loss.total.detach()) == pytest.approx(float(expected.total.detach()), rel=1e-5)
    assert number(loss, "accuracy") == pytest.approx(number(expected, "accuracy"))
    every = loss_of(build(SupervisedConfig(only=("jet_label", *CLASSES))), batch)
    plain = loss_of(build(SupervisedConfig()), batch)
    assert float(every.total.detach()) == pytest.approx(float(plain.total.detach()))


def test_one_class_of_another_field_selects_for_a_continuous_label() -> None:
    batch = labelled()
    loss = loss_of(build(SupervisedConfig(label="jet_pt", only=("jet_label", "Hbb"))), batch)
    assert float(loss.terms["huber"].count) == int((batch.labels["jet_label"] == 1).sum())


@pytest.mark.parametrize(
    ("only", "said"),
    [
        (("jet_label", "Hbb"), "leaves one class of the label"),
        (("jet_label", "Hbb", "Hbb"), "leaves one class of the label"),
        (("jet_label", "QCD", "Hbx"), "no class 'Hbx'; did you mean 'Hbb'"),
        (("jet_pt", "high", "low"), "it has no classes"),
        (("part_charge", "1", "2"), "is a field of the constituent"),
    ],
)
def test_a_selection_that_cannot_be_meant_is_refused(only: tuple[str, ...], said: str) -> None:
    with pytest.raises(IncompatibleError, match=said):
        build(SupervisedConfig(only=only))
