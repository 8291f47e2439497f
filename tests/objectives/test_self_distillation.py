"""Self-distillation: what views hold, what keeps prototypes in use, and which views are compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from builders import draws, loss_of, number
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, IncompatibleError
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.groupings import GROUPINGS
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.centre import Centre
from hepfm.objectives.compatibility import check_compatible
from hepfm.objectives.self_distillation import PARTICLES, SelfDistillation, _cross_entropy
from hepfm.objectives.sinkhorn import sinkhorn
from hepfm.objectives.subjet_views import subjets_as_constituents
from hepfm.train.learner import Learner, make_learner

FEATURES = feature_set("petfull")
TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}


def build(**options: Any) -> Learner:
    spec = {"name": "self_distillation", "hidden": 16, "outputs": 8, "prototypes": 12, **options}
    component = resolve_component(OBJECTIVES, spec, where="test")
    with seeded_init(0, "test"):
        network = build_network(resolve_component(BACKBONES, TINY, where="test"), FEATURES)
        return make_learner(component, network, jet_schema())


def rows_for(learner: Learner, rows: int = 16) -> Batch:
    subjets = learner.subjets
    return random_batch(FEATURES, rows=rows, clusterings=subjets.clusterings if subjets else ())


def objective_of(learner: Learner) -> SelfDistillation:
    assert isinstance(learner.objective, SelfDistillation)
    return learner.objective


def centres_of(objective: SelfDistillation) -> dict[str, Centre]:
    return {name: module for name, module in objective.named_modules() if isinstance(module, Centre)}


def test_subjets_have_the_sums_means_and_flags_of_their_members() -> None:
    learner = build(views="subjets", teacher_subjets=[2], student_subjets=[8])
    batch = rows_for(learner)
    names, network = FEATURES.names, learner.network
    assert batch.p4_BN4 is not None
    view = subjets_as_constituents(batch, batch.subjets["kt_2"], network)
    assert view.mask_BN.sum(1).tolist() == batch.mask_BN.sum(1).clamp(max=2).tolist()
    for row in range(len(batch)):
        for jet in range(int(view.mask_BN[row].sum())):
            member = (batch.subjets["kt_2"][row] == jet) & batch.mask_BN[row]
            features, p4 = batch.features_BNF[row, member], batch.p4_BN4[row, member]
            made = dict(zip(names, view.features_BNF[row, jet], strict=True))
            pt = p4[:, 1:3].norm(dim=1)
            total = p4.sum(0)
            expected = {
                "log_pt": total[1:3].norm().log(),
                "log_energy": total[0].log(),
                "deta": (features[:, names.index("deta")] * pt).sum() / pt.sum(),
                "charge": features[:, names.index("charge")].sum(),
                "is_muon": (features[:, names.index("is_muon")].sum() > 0).float(),
                "tanh_d0": features[:, names.index("tanh_d0")].mean(),
                "d0_error": features[:, names.index("d0_error")].square().sum().sqrt() / len(features),
            }
            for name, value in expected.items():
                torch.testing.assert_close(made[name], value, rtol=1e-4, atol=1e-5, msg=name)
    torch.testing.assert_close(view.p4_BN4.sum(1), batch.p4_BN4.sum(1))  # type: ignore[union-attr]


def test_augmented_copies_are_rotated_by_one_angle_a_row_and_have_the_momenta_of_their_features() -> None:
    learner = build(augmentations=["rotation"])
    batch = rows_for(learner)
    first, second = (view.batch for view in learner.views(batch, draws()).values())
    before, after = batch.features_BNF[..., :2], first.features_BNF[..., :2]
    torch.testing.assert_close(before.norm(dim=-1), after.norm(dim=-1))
    turn = torch.atan2(after[..., 1], after[..., 0]) - torch.atan2(before[..., 1], before[..., 0])
    for row, real in enumerate(batch.mask_BN):
        turned = torch.polar(torch.ones(int(real.sum())), turn[row, real])
        assert float(turned.mean().abs()) == pytest.approx(1.0, abs=1e-4)
    assert not torch.allclose(after, second.features_BNF[..., :2])
    assert first.p4_BN4 is not None
    torch.testing.assert_close(first.p4_BN4[..., 1:3].norm(dim=-1), batch.p4_BN4[..., 1:3].norm(dim=-1))  # type: ignore[index]


def test_sinkhorn_uses_all_prototypes_alike_and_leaves_rows_of_no_weight_out() -> None:
    logits = torch.randn(64, 8, generator=torch.Generator().manual_seed(0)) + torch.arange(8.0)
    weights = torch.ones(64)
    weights[:8] = 0
    assert logits.softmax(-1)[8:].sum(0).max() > 20
    found = sinkhorn(logits, weights)
    torch.testing.assert_close(found.sum(-1), torch.ones(64))
    share = found[8:].sum(0)
    assert share.min() > 6
    assert share.max() < 8
    other = logits.clone()
    other[:8] += 100 * torch.randn(8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(sinkhorn(other, weights)[8:], found[8:])


def test_a_view_is_never_compared_with_itself() -> None:
    target, log = torch.zeros(1, 2, 3), torch.zeros(1, 4, 3)
    target[0, :, 0] = 1.0
    log[0, 0, 0], log[0, 1, 0] = -100.0, -1.0
    pairs = [1.0, 0.0, 0.0, 100.0, 0.0, 0.0]  # (0,1) (0,2) (0,3) (1,0) (1,2) (1,3)
    assert float(_cross_entropy(target, log)) == pytest.approx(sum(pairs) / 6)


def test_the_centre_is_the_moving_mean_of_rows_with_constituents_over_all_parts_of_a_step() -> None:
    learner = build(centre_momentum=0.75, koleo_weight=0.0)
    objective = objective_of(learner).train()
    batch = rows_for(learner)
    empty = Batch(batch.features_BNF * 0, torch.zeros_like(batch.mask_BN), batch.rows_B, batch.p4_BN4)
    logits: list[Tensor] = []
    for part in (batch, empty):
        views = learner.views(part, draws())
        logits.append(torch.stack([view.extra["logits"] for view in views.values()]))
    objective.after_step(learner.network, 1, 10)
    centres = list(centres_of(objective).values())
    found_VK = torch.stack([centre.mean_K for centre in centres])
    torch.testing.assert_close(found_VK, 0.25 * logits[0].mean(1), rtol=1e-4, atol=1e-6)
    objective.eval()
    learner.views(batch, draws())
    objective.after_step(learner.network, 2, 10)
    assert torch.equal(torch.stack([centre.mean_K for centre in centres]), found_VK), (
        "validation moves nothing"
    )


def test_the_teachers_temperature_rises_over_its_warm_up() -> None:
    objective = objective_of(build(teacher_temperature=[0.04, 0.08], temperature_warmup=0.5))
    found = []
    for done in (0.0, 0.25, 0.5, 1.0):
        objective.progress.fill_(done)
        found.append(objective.temperature())
    assert found == pytest.approx([0.04, 0.06, 0.08, 0.08])


@pytest.mark.parametrize("balance", ["centre", "sinkhorn"])
def test_equal_views_of_sure_prototypes_have_a_small_loss(balance: str, monkeypatch: Any) -> None:
    learner = build(balance=balance, koleo_weight=0.0, teacher_temperature=[0.1, 0.1])
    objective, batch = objective_of(learner).eval(), rows_for(learner, rows=24)
    sure = 10 * F.one_hot(torch.arange(24) % 12, 12).float()
    monkeypatch.setattr(objective.projection, "forward", lambda row: sure)
    monkeypatch.setattr(objective.teacher[1], "forward", lambda row: sure)
    assert number(loss_of(learner, batch), "distillation") < 0.01
    monkeypatch.setattr(objective.projection, "forward", lambda row: sure.roll(1, 0))
    assert number(loss_of(learner, batch), "distillation") > 10


MASKED = {"augmented": ("view_1", "view_2"), "subjets": ("masked_all",)}


def build_masked(views: str, **options: Any) -> Learner:
    masked = {"fraction": [0.2, 0.5], **options.pop("masked", {})}
    few = {"teacher_subjets": [2], "student_subjets": [8]} if views == "subjets" else {}
    return build(views=views, masked=masked, koleo_weight=0.0, **few, **options)


@pytest.mark.parametrize("views", list(MASKED))
@pytest.mark.parametrize("choose", ["random", "pt_fraction"])
def test_masked_particles_are_asked_for_what_the_teacher_says_of_them_in_the_whole_view(
    views: str, choose: str
) -> None:
    learner = build_masked(views, masked={"choose": choose})
    objective, batch = objective_of(learner), rows_for(learner)
    shown = learner.views(batch, draws())
    for name, view in shown.items():
        if name not in MASKED[views]:
            assert view.placeholder is None
            continue
        assert view.placeholder is not None
        hidden_BN = view.placeholder.hidden_BN
        whole = objective._view(learner.network, batch, draws(), name)
        count_B = whole.mask_BN.sum(1)
        assert (hidden_BN.sum(1) >= 1)[count_B > 1].all()
        assert (hidden_BN.sum(1) < count_B)[count_B > 0].all()
        assert not view.batch.features_BNF[hidden_BN].any()
        teacher, projection = objective.teacher[0], objective.teacher[1]
        all_BNK = projection(teacher.features(whole).tokens_BND)  # type: ignore[operator]
        # Every hidden one has the teacher's logits of some constituent of its row, each of another.
        for row in range(len(batch)):
            asked, said = view.extra[PARTICLES][row, hidden_BN[row]], all_BNK[row, whole.mask_BN[row]]
            distance = torch.cdist(asked, said, compute_mode="donot_use_mm_for_euclid_dist")
            assert (distance.amin(1) < 1e-5).all()
            assert len(set(distance.argmin(1).tolist())) == int(hidden_BN[row].sum())


@pytest.mark.parametrize("balance", ["centre", "sinkhorn"])
@pytest.mark.parametrize("views", list(MASKED))
def test_the_loss_of_masked_particles_is_small_where_the_student_says_the_same(
    balance: str, views: str, monkeypatch: Any
) -> None:
    options = {"balance": balance, "teacher_temperature": [0.1, 0.1], "masked": {"own_projection": True}}
    learner = build_masked(views, **options)
    objective, batch = objective_of(learner).eval(), rows_for(learner, rows=24)
    assert objective.particle_projection is not None

    def sure(vectors: Tensor) -> Tensor:
        """Say of a constituent what its place in a chain of all is, by which all prototypes are in use."""
        return 10 * F.one_hot(torch.arange(vectors[..., 0].numel()) % 12, 12).float().view(
            *vectors.shape[:-1], 12
        )

    monkeypatch.setattr(objective.teacher[-1], "forward", sure)
    said = []
    real = objective.views

    def views_of(*arguments: Any) -> Any:
        made = real(*arguments)
        of = [made[name] for name in MASKED[views]]
        said.append(torch.cat([view.extra[PARTICLES][view.placeholder.hidden_BN] for view in of]))
        return made

    monkeypatch.setattr(objective, "views", views_of)
    given: list[Tensor] = []

    def student(vectors: Tensor) -> Tensor:
        start = sum(len(part) for part in given)
        given.append(said[-1][start : start + len(vectors)])
        return given[-1]

    monkeypatch.setattr(objective.particle_projection, "forward", student)
    assert number(loss_of(learner, batch), "masked") < (0.01 if balance == "centre" else 0.3)
    given.clear()
    monkeypatch.setattr(
        objective.particle_projection, "forward", lambda vectors: student(vectors).roll(1, -1)
    )
    assert number(loss_of(learner, batch), "masked") > 10


def test_the_centre_of_particles_counts_no_padding_and_rows_of_no_weight() -> None:
    learner = build_masked("augmented", centre_momentum=0.0, augmentations=["rotation"])
    objective, batch = objective_of(learner).train(), rows_for(learner)
    weights = (torch.arange(len(batch)) % 3).float()
    views = learner.views(replace(batch, weights_B=weights), draws())
    objective.after_step(learner.network, 1, 10)
    expected, total = torch.zeros(12), 0.0
    for name in views:
        whole = objective._view(learner.network, batch, draws(), name)
        teacher = objective.teacher[0]
        logits_BNK = objective.teacher[1](teacher.features(whole).tokens_BND)  # type: ignore[operator]
        weight_BN = weights[:, None] * whole.mask_BN
        expected += (logits_BNK * weight_BN[..., None]).sum((0, 1))
        total += float(weight_BN.sum())
    torch.testing.assert_close(objective.particle_centre.mean_K, expected / total, rtol=1e-3, atol=1e-5)


def test_rows_of_one_constituent_have_no_masked_particle_and_a_finite_loss() -> None:
    learner = build_masked("augmented")
    batch = rows_for(learner)
    one_BN = torch.arange(batch.mask_BN.shape[1]).expand_as(batch.mask_BN) < 1
    assert batch.p4_BN4 is not None
    short = Batch(
        batch.features_BNF * one_BN[..., None], one_BN, batch.rows_B, batch.p4_BN4 * one_BN[..., None]
    )
    loss = loss_of(learner, short)
    assert number(loss, "masked") == 0
    assert torch.isfinite(loss.total)


def test_particles_cannot_be_masked_where_tokens_are_groups_or_the_backbone_takes_no_placeholder() -> None:
    spec = {"name": "self_distillation", "masked": {}}
    component = resolve_component(OBJECTIVES, spec, where="test")
    pet = resolve_component(BACKBONES, "pet", where="test")
    with pytest.raises(IncompatibleError, match="placeholder"):
        check_compatible(component, pet, jet_schema())
    transformer = resolve_component(BACKBONES, TINY, where="test")
    patches = resolve_component(GROUPINGS, "patches", where="test")
    with pytest.raises(IncompatibleError, match="grouping 'patches'"):
        check_compatible(component, transformer, jet_schema(), patches)
    with pytest.raises(ConfigError, match="the smaller one comes first"):
        resolve_component(OBJECTIVES, {**spec, "masked": {"fraction": [0.5, 0.2]}}, where="test")
