"""JEPA: what context and targets are, that hidden tokens change nothing, and what the predictor must give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from builders import draws, loss_of, number
from torch import Tensor

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import resolve_component
from hepfm.core.errors import IncompatibleError
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.groupings import GROUPINGS
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.base import View, apply
from hepfm.objectives.jepa import CONTEXT
from hepfm.objectives.koleo import koleo
from hepfm.objectives.teacher import Teacher
from hepfm.objectives.token_masks import TokenMasksConfig, draw_masks, nearest_chain
from hepfm.train.learner import Learner, make_learner
from hepfm.train.pretrain import pretrain
from hepfm.train.run import read_metrics

FEATURES = feature_set("petfull")
TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}
GROUPED = ["particles", {"name": "subjets", "radius": 0.1}, {"name": "patches", "members": 3}]


def build(grouping: Any = "particles", **options: Any) -> Learner:
    component = resolve_component(OBJECTIVES, {"name": "jepa", **options}, where="test")
    with seeded_init(0, "test"):
        network = build_network(
            resolve_component(BACKBONES, TINY, where="test"),
            FEATURES,
            grouping=resolve_component(GROUPINGS, grouping, where="test"),
        )
        return make_learner(component, network, jet_schema()).eval()


def rows_for(learner: Learner, rows: int = 16) -> Batch:
    return random_batch(FEATURES, rows=rows, clusterings=learner.network.clusterings)


def seen(learner: Learner, view: View) -> Tensor:
    return apply(learner.network, view).features.tokens_BND


@pytest.mark.parametrize("order", ["random", "contiguous"])
def test_targets_have_their_share_and_are_not_in_the_context(order: str) -> None:
    count = torch.tensor([40, 20, 7, 2, 1, 0])
    mask = torch.arange(40) < count[:, None]
    centre = torch.randn(6, 40, 2, generator=torch.Generator().manual_seed(2))
    config = TokenMasksConfig(order=order, target_fraction=(0.2, 0.3), leading=10)  # type: ignore[arg-type]
    masks = draw_masks(config, mask, centre, draws().rows(torch.arange(6)))
    assert not (masks.target_BTG & masks.context_BG[:, None]).any()
    assert not masks.target_BTG[..., 10:].any()
    assert (masks.context_BG.sum(1) > 0).tolist() == [True] * 5 + [False]
    assert not masks.target_BTG[4:].any()
    sizes = masks.target_BTG[0].sum(-1)
    assert (sizes >= 8).all()
    assert (sizes <= 10).all()
    for each, other in zip(masks.target_BTG[1], masks.target_BTG[1, 1:], strict=False):
        assert not torch.equal(each, other)


def test_contiguous_targets_are_pieces_of_a_chain_of_nearest_tokens() -> None:
    place = torch.tensor([[0.0, 0.5, 0.1, 9.0, 0.3, 0.0]])
    mask = torch.tensor([[True] * 5 + [False]])
    chain = nearest_chain(torch.stack([place, 0 * place], dim=-1), mask)
    assert chain.tolist() == [[0, 3, 1, 4, 2, 6]]
    config = TokenMasksConfig(targets=8, target_fraction=(0.4, 0.4))
    masks = draw_masks(config, mask, torch.stack([place, 0 * place], dim=-1), draws().rows(torch.arange(1)))
    for target in masks.target_BTG[0]:
        places = chain[0][target].sort().values.tolist()
        assert places in ([], [places[0]], [places[0], places[0] + 1])


def changed(batch: Batch, where_BN: Tensor) -> Batch:
    shift = torch.where(where_BN[..., None], 0.3, 0.0)
    features = batch.features_BNF.clone()
    features[..., 2:] += shift  # not the angles: places are told, and decide what patches are
    assert batch.p4_BN4 is not None
    return replace(batch, features_BNF=features, p4_BN4=batch.p4_BN4 * (1 + shift))


@pytest.mark.parametrize("grouping", GROUPED, ids=["particles", "subjets", "patches"])
def test_constituents_of_hidden_tokens_change_nothing(grouping: Any) -> None:
    learner = build(grouping)
    batch = rows_for(learner)
    view = learner.views(batch, draws())[CONTEXT]
    shown_BN = (batch.features_BNF[:, :, None] == view.batch.features_BNF[:, None]).all(-1)
    hidden_BN = batch.mask_BN & ~(shown_BN & view.batch.mask_BN[:, None]).any(-1)
    assert (hidden_BN.sum(1) > 0)[batch.mask_BN.sum(1) > 8].all()
    other = learner.views(changed(batch, hidden_BN), draws())[CONTEXT]
    assert torch.equal(seen(learner, view), seen(learner, other))
    assert not torch.equal(view.extra["latent"], other.extra["latent"])
    visible = learner.views(changed(batch, batch.mask_BN & ~hidden_BN), draws())[CONTEXT]
    assert not torch.allclose(seen(learner, view), seen(learner, visible), atol=1e-3)


def test_masks_at_the_output_let_everything_through_and_the_predictor_sees_the_context() -> None:
    learner = build("subjets", mask_at="output")
    batch = rows_for(learner)
    view = learner.views(batch, draws())[CONTEXT]
    assert torch.equal(view.batch.features_BNF, batch.features_BNF)
    assert view.extra["context_mask"].sum() < seen(learner, view).abs().sum(-1).bool().sum()


def test_the_target_is_the_teachers_latent_of_the_whole_row() -> None:
    learner = build("subjets", masks={"targets": 2})
    batch = rows_for(learner)
    extra = learner.views(batch, draws())[CONTEXT].extra
    network = learner.network
    groups = network.groups(batch)
    assert groups is not None
    latents = F.layer_norm(apply(network, View(batch)).features.tokens_BND, (16,))
    for row, target, place in extra["target_mask"].nonzero().tolist():
        centre = extra["target_place"][row, target, place]
        found = (groups.centre_BG2[row] == centre).all(-1).nonzero()[0, 0]
        torch.testing.assert_close(extra["latent"][row, target, place], latents[row, found])


def test_a_perfect_prediction_has_no_loss_and_rows_without_targets_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learner = build(row_weight=1.0)
    batch = rows_for(learner)
    extra = learner.views(batch, draws())[CONTEXT].extra
    row = extra["row"][:, None].expand(-1, 4, -1)
    monkeypatch.setattr(learner.objective.predictor, "forward", lambda *_: (extra["latent"], row))
    loss = loss_of(learner, batch)
    assert number(loss, "latent") == 0.0
    assert number(loss, "row") == 0.0
    assert float(loss.terms["latent"].count) == int((batch.mask_BN.sum(1) > 1).sum())


def test_koleo_is_the_mean_logarithm_of_the_nearest_distance_over_all_parts() -> None:
    rows = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    counted = torch.ones(12)
    counted[5] = 0
    whole = koleo(rows, counted, weight=1.0)
    unit = F.normalize(rows[counted.bool()], dim=-1)
    distance = torch.cdist(unit, unit).fill_diagonal_(torch.inf).amin(1)
    assert float(whole.number()) == pytest.approx(float(-distance.log().mean()), rel=1e-4)
    parts = koleo(rows[:5], counted[:5], weight=1.0) + koleo(rows[5:], counted[5:], weight=1.0)
    assert float(parts.number()) == pytest.approx(float(whole.number()), rel=1e-6)
    assert float(koleo(rows * 0 + 1, counted, weight=1.0).number()) > 5


def test_the_teacher_moves_once_for_each_step_and_resumes_bit_for_bit(
    jet_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {
        "data": {"store": str(jet_store.path), "features": "kin"},
        "backbone": TINY,
        "objective": {"name": "jepa", "teacher": {"momentum": 0.5}},
        "train": {
            "steps": 6, "batch_size": 32, "accumulate": 2, "device": "cpu", "log_every": 1,
            "validate_every": 3, "checkpoint_every": 3, "validation_rows": 32,
        },
    }  # fmt: skip
    steps: list[tuple[int, int]] = []
    follow = Teacher.follow

    def counted(self: Teacher, *modules: Any, step: int, num_steps: int) -> None:
        steps.append((step, num_steps))
        follow(self, *modules, step=step, num_steps=num_steps)

    monkeypatch.setattr(Teacher, "follow", counted)
    pretrain(recipe, output=tmp_path / "whole")
    assert steps == [(step, 6) for step in range(1, 7)]
    import shutil

    from hepfm.train.resume import resume

    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "model")
    shutil.rmtree(tmp_path / "cut" / "checkpoints" / "step-00000006")
    resume(tmp_path / "cut")
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def losses(run: Path) -> dict[tuple[str, int], float]:
    lines = [line for kind in ("train", "validation") for line in read_metrics(run / "metrics.jsonl", kind)]
    return {(str(line["kind"]), int(line["step"])): float(line["loss"]) for line in lines}


def test_features_without_places_are_refused() -> None:
    component = resolve_component(OBJECTIVES, "jepa", where="test")
    network = build_network(resolve_component(BACKBONES, TINY, where="test"), feature_set("calo"))
    with pytest.raises(IncompatibleError, match="deta and dphi"):
        make_learner(component, network, jet_schema())
