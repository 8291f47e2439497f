"""Objectives that compare rows: who belongs to whom, what is refused, what training does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from builders import draws, loss_of, number

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, IncompatibleError
from hepfm.core.schema import Schema
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.together import Together
from hepfm.testing.objective_steps import SCHEMA
from hepfm.train.learner import Learner, make_learner

TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}
PROJECTOR = {"hidden": [32], "outputs": 8}
MEMBERS = {"positives": "members"}


def build(name: str, *, schema: Schema = SCHEMA, features: str = "pet", **options: Any) -> Learner:
    component = resolve_component(OBJECTIVES, {"name": name, **options}, where="test")
    with seeded_init(0, "test"):
        network = build_network(resolve_component(BACKBONES, TINY, where="test"), feature_set(features))
        return make_learner(component, network, schema)


def twins(groups: int, *, noise: float = 0.3) -> Batch:
    """Pairs of rows that are alike, as simulations of one event are."""
    first = random_batch(feature_set("pet"), rows=groups)
    draw = torch.Generator().manual_seed(2)
    hardness = first.features_BNF[..., 2].sum(1) / first.mask_BN.sum(1)

    def twice(values: torch.Tensor) -> torch.Tensor:
        return torch.cat((values, values))

    features = twice(first.features_BNF)
    features = features + noise * torch.randn(features.shape, generator=draw)
    mask = twice(first.mask_BN)
    return Batch(
        features * mask[..., None],
        mask,
        torch.arange(2 * groups),
        twice(first.p4_BN4),  # type: ignore[arg-type]
        group_B=twice(torch.arange(groups)),
        labels={"jet_label": twice(hardness.argsort().argsort() * 3 // groups)},
    )


@pytest.mark.parametrize(
    ("name", "options", "identities", "branches"),
    [
        ("contrastive", MEMBERS, 8, 1),
        ("contrastive", {}, 16, 2),
        ("vicreg", MEMBERS, 8, 1),
        ("vicreg", {"augmentations": ["rotation"]}, 16, 2),
        ("supervised_contrastive", {}, 3, 1),
        ("supervised_contrastive", {"augmentations": ["cropping"]}, 3, 2),
        ("contrastive", {**MEMBERS, "augmentations": ["rotation"]}, 8, 1),
    ],
)
def test_what_belongs_together(name: str, options: dict[str, Any], identities: int, branches: int) -> None:
    batch = twins(8)
    for term in loss_of(build(name, projector=PROJECTOR, **options), batch).terms.values():
        assert isinstance(term, Together)
        assert len(term.rows) == branches * len(batch)
        assert len(term.rows.identity_V.unique()) == identities
        assert len(term.rows.branch_V.unique()) == branches


def test_members_and_classes_are_those_of_the_batch() -> None:
    batch = twins(8)
    members = next(iter(loss_of(build("contrastive", **MEMBERS), batch).terms.values()))
    classes = next(iter(loss_of(build("supervised_contrastive"), batch).terms.values()))
    assert isinstance(members, Together)
    assert isinstance(classes, Together)
    assert torch.equal(members.rows.identity_V, batch.group_B)  # type: ignore[arg-type]
    assert torch.equal(classes.rows.identity_V, batch.labels["jet_label"])


@pytest.mark.parametrize("name", ["contrastive", "supervised_contrastive", "vicreg"])
def test_rows_of_weight_zero_take_no_part(name: str) -> None:
    learner, batch = build(name, projector=PROJECTOR).eval(), twins(8)
    weights = torch.ones(16)
    weights[3] = 0
    batch = replace(batch, weights_B=weights)
    other = batch.features_BNF.clone()
    other[3] += 1.0
    first, second = (
        loss_of(learner, replace(batch, features_BNF=features)).total
        for features in (batch.features_BNF, other)
    )
    torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-6)
    changed = loss_of(learner, replace(batch, features_BNF=other, weights_B=None)).total
    assert abs(float((first - changed).detach())) > 1e-4


@pytest.mark.parametrize("name", ["contrastive", "vicreg"])
def test_training_brings_members_together_and_keeps_others_apart(name: str) -> None:
    learner, batch, fresh = build(name, projector=PROJECTOR, **MEMBERS), twins(64), twins(64, noise=0.31)
    judge = build("contrastive", projector=PROJECTOR, **MEMBERS)
    optimizer = torch.optim.Adam(learner.parameters(), 3e-3)

    def found() -> float:
        judge.load_state_dict(learner.state_dict())
        return number(loss_of(judge.eval(), fresh), "nearest")

    before = found()
    for step in range(30):
        optimizer.zero_grad()
        loss_of(learner.train(), batch, seed=step).total.backward()
        optimizer.step()
    assert found() > 1.5 * before


def test_classes_are_pulled_together_by_labels_alone() -> None:
    learner, batch = build("supervised_contrastive", projector=PROJECTOR), twins(48)
    before = number(loss_of(learner, batch), "nearest")
    optimizer = torch.optim.Adam(learner.parameters(), 1e-2)
    for step in range(40):
        optimizer.zero_grad()
        loss_of(learner, batch, seed=step).total.backward()
        optimizer.step()
    assert number(loss_of(learner, batch), "nearest") > before + 0.1


def test_no_projector_compares_the_summaries_themselves() -> None:
    learner = build("contrastive", projector=None, **MEMBERS)
    assert not list(learner.objective.parameters())
    term = next(iter(loss_of(learner, twins(8)).terms.values()))
    assert isinstance(term, Together)
    assert term.rows.vectors_VE.shape == (16, 16)


def test_groups_are_needed_for_members_only_and_labels_for_classes_only() -> None:
    bare = jet_schema()
    build("contrastive", schema=bare)
    with pytest.raises(IncompatibleError, match=r"positives=members.*resimulate.*positives=views"):
        build("contrastive", schema=bare, **MEMBERS)
    with pytest.raises(IncompatibleError, match=r"needs classes.*objective\.label=FIELD"):
        build("supervised_contrastive", schema=bare)
    with pytest.raises(IncompatibleError, match=r"'jet_pt' is of level object and kind continuous"):
        build("supervised_contrastive", label="jet_pt")


def test_a_view_that_is_not_changed_is_refused() -> None:
    with pytest.raises(ConfigError, match="two views of a row are alike"):
        build("contrastive", augmentations=[])
    build("contrastive", augmentations=[], **MEMBERS)


def test_features_that_cannot_be_turned_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="rotation"):
        build("contrastive", features="calo", augmentations=["rotation"])


def test_two_terms_of_a_sum_share_their_view_or_are_refused() -> None:
    supervised = {"name": "supervised_contrastive"}
    learner = build("weighted_sum", terms=[supervised, {"name": "supervised", "weight": 0.5}])
    assert set(learner.views(twins(8), draws())) == {"clean"}
    with pytest.raises(IncompatibleError, match="two terms make the view 'augmented_1'"):
        build("weighted_sum", terms=[{"name": "contrastive"}, {"name": "vicreg"}])
