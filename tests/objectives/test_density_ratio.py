"""Density ratio: the loss against scikit-learn, its scale and minimum, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from builders import loss_of, number
from sklearn.metrics import log_loss

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Field, Level
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.train.learner import Learner, make_learner

NAMES = ("ratio_numerator", "ratio_denominator")
SCHEMA = jet_schema(("QCD", "Hbb"), extra=tuple(Field(name, Level.OBJECT) for name in NAMES))
TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}


def build(**options: Any) -> Learner:
    component = resolve_component(OBJECTIVES, {"name": "density_ratio", **options}, where="test")
    with seeded_init(0, "test"):
        network = build_network(resolve_component(BACKBONES, TINY, where="test"), feature_set("kin"))
        return make_learner(component, network, SCHEMA).eval()


def weighted(numerator: torch.Tensor, denominator: torch.Tensor) -> Batch:
    batch = random_batch(feature_set("kin"), rows=len(numerator))
    return replace(batch, labels=dict(zip(NAMES, (numerator, denominator), strict=True)))


BOTH = weighted(torch.linspace(0.0, 2.0, 20), torch.linspace(3.0, 0.5, 20))


def test_rows_of_both_samples_count_as_rows_that_stand_twice() -> None:
    learner, loss = build(), loss_of(build(), BOTH)
    probability = learner.network(BOTH)["ratio_sample"].softmax(-1).detach().numpy()
    weights = np.concatenate([BOTH.labels[name].numpy() for name in NAMES])
    truth, said = np.repeat([1, 0], 20), np.concatenate([probability, probability])
    assert float(loss.total.detach()) == pytest.approx(log_loss(truth, said, sample_weight=weights), rel=1e-5)
    correct = np.average(said.argmax(1) == truth, weights=weights)
    assert number(loss, "accuracy") == pytest.approx(correct)


def test_the_loss_is_ln_2_where_nothing_tells_the_samples_apart() -> None:
    learner = build()
    for weight in learner.network.heads["ratio_sample"].parameters():
        torch.nn.init.zeros_(weight)
    assert float(loss_of(learner, BOTH).total.detach()) == pytest.approx(np.log(2))
    many = weighted(1000 * BOTH.labels[NAMES[0]], 1000 * BOTH.labels[NAMES[1]])
    assert float(loss_of(learner, many).total.detach()) == pytest.approx(np.log(2))


def test_negative_weights_take_a_row_away_again() -> None:
    """A row that is added and subtracted changes no gradient, but for the common factor of the count."""
    ones = torch.ones(20)
    ones[:4] = 0.0  # of neither sample
    plain = weighted(ones, torch.linspace(1.0, 2.0, 20))
    gradients = []
    for added in (0.0, 2.0):
        numerator = plain.labels[NAMES[0]].clone()
        numerator[0], numerator[1] = added, -added
        batch = replace(plain, labels={**plain.labels, NAMES[0]: numerator})
        same = batch.features_BNF.clone()
        same[1], mask = same[0], batch.mask_BN.clone()
        mask[1] = mask[0]
        batch = replace(batch, features_BNF=same, mask_BN=mask)
        learner = build()
        loss = loss_of(learner, batch)
        loss.total.backward()  # type: ignore[no-untyped-call]
        count = float(loss.terms["cross_entropy"].count)
        gradient = learner.network.heads["ratio_sample"].linear.weight.grad
        assert gradient is not None
        gradients.append(gradient * count)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-5)
    assert gradients[0].abs().max() > 1e-2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"numerator": "jet_label"}, "'jet_label' cannot be a weight"),
        ({"denominator": "part_pt"}, "it holds lists"),
        ({"numerator": "other"}, "no field 'other'"),
        ({"numerator": "jet_pt", "denominator": "jet_pt"}, "whose ratio is 1"),
        ({"head": "classify_constituents"}, "set head to classify"),
    ],
)
def test_fields_and_heads_that_cannot_be_meant_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(IncompatibleError, match=message):
        build(**options)
