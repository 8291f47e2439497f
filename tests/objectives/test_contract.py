"""The contract of objectives, over every registered pair that fits jets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from builders import loss_of
from objective_pairs import PAIRS, SPECS, batch_for, build

from hepfm.models.weights import load_strictly, load_tensors, save_tensors
from hepfm.objectives import OBJECTIVES
from hepfm.train.learner import Learner


@pytest.fixture(params=PAIRS, ids="+".join)
def objective(request: pytest.FixtureRequest) -> Learner:
    return build(*request.param, seed=0)


def test_every_registered_objective_is_tried() -> None:
    assert {SPECS[name]["name"] for name, _ in PAIRS} == set(OBJECTIVES)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_an_objective_says_what_its_views_let_through(name: str) -> None:
    """What is hidden and what is not; test_hidden.py holds it to its word."""
    assert len(OBJECTIVES.load(name).lets_through.split()) >= 5


def test_rows_of_one_or_no_constituent_give_finite_losses_and_gradients(objective: Learner) -> None:
    batch = batch_for(objective)
    length = torch.tensor([0, 1, 2, 0] * 4)
    mask_BN = torch.arange(batch.mask_BN.shape[1]) < length[:, None]
    assert batch.p4_BN4 is not None
    short = replace(
        batch,
        mask_BN=mask_BN,
        features_BNF=batch.features_BNF * mask_BN[..., None],
        p4_BN4=batch.p4_BN4 * mask_BN[..., None],
    )
    loss = loss_of(objective.train(), short)
    loss.total.backward()
    assert torch.isfinite(loss.total)
    for name, weight in objective.named_parameters():
        assert weight.grad is None or torch.isfinite(weight.grad).all(), name


def test_a_row_of_weight_zero_does_not_count(objective: Learner) -> None:
    """What a row holds is changed; SIGReg, a statistic of all rows together, is left out."""
    if any("sigreg" in name for name in loss_of(objective, batch_for(objective)).terms):
        pytest.skip("SIGReg judges all rows of a batch together")
    batch = replace(batch_for(objective), weights_B=torch.tensor([1.0] * 15 + [0.0]))
    changed = batch.features_BNF.clone()
    changed[-1] += 0.7 * batch.mask_BN[-1, :, None]
    objective.eval()
    with torch.no_grad():
        losses = [
            loss_of(objective, replace(batch, features_BNF=features)).total
            for features in (batch.features_BNF, changed)
        ]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=1e-6)


def test_the_loss_is_a_finite_scalar_and_what_is_only_logged_has_no_gradient(objective: Learner) -> None:
    loss = loss_of(objective, batch_for(objective))
    assert loss.total.shape == ()
    assert torch.isfinite(loss.total)
    for name, term in loss.terms.items():
        assert term.number().shape == (), name
        assert torch.isfinite(term.number()), name
        assert term.number().requires_grad == bool(term.weight), name


def test_every_trainable_weight_gets_a_finite_gradient(objective: Learner) -> None:
    objective.train()
    loss_of(objective, batch_for(objective)).total.backward()
    for name, weight in objective.named_parameters():
        if weight.requires_grad:
            assert weight.grad is not None, name
            assert torch.isfinite(weight.grad).all(), name


def test_the_same_seeds_give_the_same_loss(objective: Learner) -> None:
    objective.train()
    losses = []
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            losses.append(float(loss_of(objective, batch_for(objective)).total.detach()))
    assert losses[0] == losses[1]


def test_padding_does_not_change_the_loss(objective: Learner) -> None:
    objective.eval()
    batch = batch_for(objective)
    assert batch.p4_BN4 is not None
    longer = replace(
        batch,
        features_BNF=F.pad(batch.features_BNF, (0, 0, 0, 7)),
        mask_BN=F.pad(batch.mask_BN, (0, 7)),
        p4_BN4=F.pad(batch.p4_BN4, (0, 0, 0, 7)),
    )
    with torch.no_grad():
        short, long = loss_of(objective, batch).total, loss_of(objective, longer).total
    torch.testing.assert_close(long, short, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_saved_and_loaded_weights_give_the_same_loss(pair: tuple[str, str], tmp_path: Path) -> None:
    first, second = build(*pair, seed=0).eval(), build(*pair, seed=1).eval()
    batch = batch_for(first)
    with torch.no_grad():
        before = float(loss_of(first, batch).total)
        assert float(loss_of(second, batch).total) != before
        save_tensors(tmp_path / "weights.safetensors", first.state_dict())
        load_strictly(second, load_tensors(tmp_path / "weights.safetensors"), where=tmp_path)
        assert float(loss_of(second, batch).total) == before


def test_half_precision_gives_nearly_the_same_loss(objective: Learner) -> None:
    objective.eval()
    batch = batch_for(objective)
    with torch.no_grad():
        full = loss_of(objective, batch).total
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = loss_of(objective, batch).total
    torch.testing.assert_close(half.float(), full, rtol=0.03, atol=0.03)
