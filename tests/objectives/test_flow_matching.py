"""Flow matching: closed forms, what it learns judged by distances of what it makes, and refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from builders import draws, loss_of, number
from scipy.stats import wasserstein_distance
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, DataError, IncompatibleError
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.generators.flow import Flow
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.base import Output, View
from hepfm.objectives.compatibility import check_compatible
from hepfm.objectives.flow_matching import NOISED, FlowMatching
from hepfm.train.learner import Learner, make_learner

CLASSES = ("g", "t")
TINY = {"name": "transformer", "width": 32, "depth": 1, "num_heads": 4, "num_registers": 1}
PET = feature_set("pet")


def build(*, features: str = "pet", labelled: bool = True, **options: Any) -> Learner:
    component = resolve_component(OBJECTIVES, {"name": "flow_matching", **options}, where="test")
    backbone = resolve_component(BACKBONES, TINY, where="test")
    with seeded_init(0, "test"):
        network = build_network(backbone, feature_set(features))
        return make_learner(component, network, jet_schema(CLASSES if labelled else ()))


def flow(learner: Learner) -> Flow:
    assert isinstance(learner.network.generator, Flow)
    return learner.network.generator


def drawn_classes(learner: Learner, batch: Batch) -> Tensor:
    assert isinstance(learner.objective, FlowMatching)
    return learner.objective._classes(batch, draws())


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def jets(rows: int, seed: int, *, shuffled: bool = False) -> Batch:
    """Jets of two classes: the second has a far wider, two-pronged spread in deta and more constituents."""
    draw = generator(seed)
    label = torch.arange(rows) % 2
    length = (4 + 4 * label + torch.randint(0, 3, (rows,), generator=draw)).clamp(1, 12)
    mask = torch.arange(12) < length[:, None]
    noise = torch.randn(rows, 12, 4, generator=draw)
    prong = torch.where(torch.rand(rows, 12, generator=draw) < 0.5, 1.0, -1.0)
    x = 0.3 * noise
    x[..., 0] += 1.5 * prong * label[:, None]
    x[..., 3] += x[..., 2]
    if shuffled:
        label = label[torch.randperm(rows, generator=draw)]
    features = build().network.standardize.inverse(x, mask)
    return Batch(features, mask, torch.arange(rows), labels={"jet_label": label})


def test_the_noised_copy_is_the_straight_line_from_jet_to_noise() -> None:
    objective, batch = build(), jets(64, 0)
    view = objective.views(batch, draws())[NOISED]
    assert view.time_B is not None
    standardize = objective.network.standardize
    time = view.time_B[:, None, None]
    x = standardize(batch.features_BNF, batch.mask_BN)
    z = standardize(view.batch.features_BNF, batch.mask_BN)
    inside = z.abs() < 4.99
    torch.testing.assert_close(z[inside], (x + time * view.extra["velocity"])[inside], rtol=0, atol=1e-4)
    noise = (view.extra["velocity"] + x)[batch.mask_BN]
    assert abs(float(noise.mean())) < 0.1
    assert float(noise.std()) == pytest.approx(1.0, abs=0.05)
    torch.testing.assert_close(view.weight_B, (1 - view.time_B) ** 2)
    assert (view.batch.labels["jet_label"] == batch.labels["jet_label"]).all()
    assert not view.extra["velocity"][~batch.mask_BN].any()


def test_the_loss_is_summed_over_features_and_averaged_over_constituents_then_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    objective, batch = build(), replace(jets(4, 0), weights_B=torch.tensor([1.0, 2.0, 0.0, 1.0]))
    view = objective.views(batch, draws())[NOISED]
    monkeypatch.setattr(
        objective.network.generator, "velocity", lambda *_: torch.zeros_like(view.extra["velocity"])
    )
    features = objective.network.features(view.batch, time_B=view.time_B)
    found = number(
        objective.objective.loss(objective.network, {NOISED: Output(view, features)}, draws()), "velocity"
    )
    velocity, mask = view.extra["velocity"].numpy(), batch.mask_BN.numpy()
    rows = [float((velocity[row][mask[row]] ** 2).sum(-1).mean()) for row in range(4)]
    assert found == pytest.approx((rows[0] + 2 * rows[1] + rows[3]) / 4, rel=1e-5)


def test_what_is_made_comes_near_the_data_and_follows_the_class() -> None:
    """Classes shuffled among the training jets are the control: then both classes are made alike."""
    real = jets(2000, 99)
    trained, control = learn(shuffled=False), learn(shuffled=True)
    for label in (0, 1):
        untrained = distance(build(), real, label)
        assert distance(trained, real, label) < 0.35 * untrained
    assert distance(trained, real, 1) < 0.6 * distance(control, real, 1)
    assert abs(mean_length(trained, 1) - mean_length(trained, 0) - 4.0) < 0.8
    assert abs(mean_length(control, 1) - mean_length(control, 0)) < 0.8


def learn(*, shuffled: bool) -> Learner:
    objective = build(label_dropout=0.0, generator={"name": "flow", "steps": 6, "sampler_width": 32})
    objective.prepare([jets(512, 1)])
    data = jets(2048, 1, shuffled=shuffled)
    optimizer = torch.optim.Adam(objective.parameters(), 5e-3)
    # With a rate that falls the outcome does not hang on the last few steps.
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, 300)
    draw = generator(3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for step in range(300):
            row = torch.randint(0, 2048, (64,), generator=draw)
            labels = {"jet_label": data.labels["jet_label"][row]}
            batch = Batch(data.features_BNF[row], data.mask_BN[row], row, labels=labels)
            optimizer.zero_grad()
            loss_of(objective, batch, seed=step).total.backward()
            optimizer.step()
            schedule.step()
    return objective.eval()


def made(objective: Learner, label: int) -> tuple[Tensor, Tensor]:
    rows = objective.network.generate(torch.full((300,), label), None, generator(5))
    return rows.x_BNF, rows.mask_BN


def distance(objective: Learner, real: Batch, label: int) -> float:
    """W1 of deta (standardised) between what is made and real jets of a class."""
    x, mask = made(objective, label)
    of_class = real.labels["jet_label"] == label
    true = objective.network.standardize(real.features_BNF, real.mask_BN)[of_class]
    return float(wasserstein_distance(x[mask][:, 0].numpy(), true[real.mask_BN[of_class]][:, 0].numpy()))


def mean_length(objective: Learner, label: int) -> float:
    return float(made(objective, label)[1].sum(1).float().mean())


def test_rows_made_do_not_depend_on_the_batch_size() -> None:
    parts = []
    for size in (7, 64):
        objective = build(generator={"name": "flow", "steps": 3, "batch_size": size}).eval()
        parts.append(objective.network.generate(torch.arange(64) % 2, None, generator()))
    assert (parts[0].mask_BN == parts[1].mask_BN).all()
    torch.testing.assert_close(parts[0].x_BNF, parts[1].x_BNF, rtol=1e-4, atol=1e-5)
    assert not parts[0].x_BNF[~parts[0].mask_BN].any()


def test_another_seed_makes_other_rows() -> None:
    network = build(generator={"name": "flow", "steps": 2}).eval().network
    first, second = (network.generate(torch.zeros(8, dtype=torch.long), None, generator(k)) for k in (0, 1))
    assert not np.array_equal(first.mask_BN.numpy(), second.mask_BN.numpy())


def test_labels_are_dropped_in_training_only_and_at_the_rate() -> None:
    objective, batch = build(label_dropout=0.3), jets(3000, 0)
    none = flow(objective).num_classes
    label_B = drawn_classes(objective.train(), batch)
    assert float((label_B == none).float().mean()) == pytest.approx(0.3, abs=0.03)
    assert not (drawn_classes(objective.eval(), batch) == none).any()


def test_the_class_changes_the_velocity_and_no_class_is_a_class_of_its_own() -> None:
    objective, batch = build().eval(), jets(4, 0)
    features = objective.network.features(batch, time_B=torch.full((4,), 0.5))
    found = [
        flow(objective).velocity(features, batch.mask_BN, torch.full((4,), k)).detach() for k in (0, 1, 2)
    ]
    assert not torch.allclose(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


def test_data_without_labels_are_learned_without_class() -> None:
    objective = build(labelled=False)
    assert objective.requirements.labels == ()
    loss = loss_of(objective, replace(jets(8, 0), labels={}))
    assert torch.isfinite(loss.total)
    rows = objective.eval().network.generate(torch.zeros(5, dtype=torch.long), None, generator())
    assert len(rows.x_BNF) == 5


def test_a_fitting_generator_is_kept_and_another_is_replaced() -> None:
    first = build()
    kept = first.network.generator
    component = resolve_component(OBJECTIVES, "flow_matching", where="test")
    make_learner(component, first.network, jet_schema(CLASSES))
    assert first.network.generator is kept
    make_learner(component, first.network, jet_schema(("g", "q", "t")))
    assert first.network.generator is not kept
    assert flow(first).num_classes == 3


@pytest.mark.parametrize("features", ["kin", "kinpid", "full"])
def test_features_that_repeat_others_are_refused(features: str) -> None:
    with pytest.raises(
        IncompatibleError, match=rf"some of '{features}' follow .*: pet, petpid, petfull, massless, calo"
    ):
        build(features=features)


@pytest.mark.parametrize("features", ["pet", "petpid", "petfull"])
def test_any_number_of_independent_features_is_made(features: str) -> None:
    objective = build(features=features, generator={"name": "flow", "steps": 1}).eval()
    batch = replace(random_batch(feature_set(features)), labels={"jet_label": torch.arange(16) % 2})
    assert torch.isfinite(loss_of(objective, batch).total)
    rows = objective.network.generate(torch.zeros(3, dtype=torch.long), None, generator())
    assert rows.x_BNF.shape[-1] == len(feature_set(features))


def test_a_backbone_that_cannot_be_told_the_time_is_refused() -> None:
    objective = resolve_component(OBJECTIVES, "flow_matching", where="test")
    backbone = resolve_component(BACKBONES, "particle_transformer", where="test")
    with pytest.raises(
        IncompatibleError, match=r"supports 'prefix'.*flow_matching' and these data: transformer"
    ):
        check_compatible(objective, backbone, jet_schema(CLASSES))


def test_rows_longer_than_the_generator_makes_are_named() -> None:
    with pytest.raises(DataError, match=r"10 constituents and the generator makes up to 6; raise"):
        build(max_constituents=6).views(jets(20, 0), draws())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_dropout": 1.5}, "label_dropout"),
        ({"label": "jet_pt"}, "categorical field of the rows"),
        ({"generator": "flwo"}, "did you mean 'flow'"),
        ({"generator": {"name": "flow", "solver": "rk4"}}, "solver"),
        ({"generator": {"name": "flow", "steps": 0}}, "steps"),
        ({"generator": {"name": "flow", "num_heads": 5}}, "num_heads=5 does not divide"),
        ({"max_constituents": 0}, "max_constituents"),
    ],
)
def test_what_cannot_be_used_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, IncompatibleError), match=message):
        build(**options)


def test_nothing_to_make_rows_of_is_named() -> None:
    with pytest.raises(ValueError, match="class or the context"):
        build().network.generate(None, None, generator())


def test_views_hold_what_belongs_to_the_row() -> None:
    batch = replace(jets(6, 0), weights_B=torch.arange(6.0), rows_B=torch.arange(6) + 100)
    view: View = build().views(batch, draws())[NOISED]
    assert view.batch.weights_B is batch.weights_B
    assert (view.batch.rows_B == batch.rows_B).all()
