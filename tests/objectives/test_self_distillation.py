"""Self-distillation: what views hold, what keeps prototypes in use, and which views are compared."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from builders import draws, loss_of, number
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.self_distillation import SelfDistillation, _cross_entropy
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
    torch.testing.assert_close(objective.centre_VK, 0.25 * logits[0].mean(1), rtol=1e-4, atol=1e-6)
    objective.eval()
    learner.views(batch, draws())
    assert float(objective.count) == 0


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
