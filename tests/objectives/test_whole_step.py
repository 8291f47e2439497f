"""Law: neither loss nor gradient depends on how a step is cut into parts, their order and their processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from builders import draws
from objective_pairs import PAIRS, batch_for, build
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.objectives.loss import added
from hepfm.train.learner import Learner

CUTS = {
    "one_part": (tuple(range(16)),),
    "halves": (tuple(range(8)), tuple(range(8, 16))),
    "sorted_by_length": None,
    "unequal": ((3,), tuple(range(4, 16)), (0, 1, 2)),
}
"""Rows of each part; those of None are four parts of rows of similar length, the longest first."""


def parts_of(batch: Batch, cut: str) -> list[Batch]:
    rows = CUTS[cut]
    if rows is None:
        order = batch.mask_BN.sum(1).argsort(descending=True, stable=True)
        return [take(batch, part) for part in order.split(4)]
    return [take(batch, torch.tensor(part)) for part in rows]


def take(batch: Batch, rows: Tensor) -> Batch:
    longest = int(batch.mask_BN[rows].sum(1).max())
    assert batch.p4_BN4 is not None
    return replace(
        batch,
        features_BNF=batch.features_BNF[rows, :longest],
        mask_BN=batch.mask_BN[rows, :longest],
        p4_BN4=batch.p4_BN4[rows, :longest],
        rows_B=batch.rows_B[rows],
        context_BC=None if batch.context_BC is None else batch.context_BC[rows],
        labels={name: label[rows] for name, label in batch.labels.items()},
        weights_B=None if batch.weights_B is None else batch.weights_B[rows],
    )


def step(objective: Learner, parts: Sequence[Batch]) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Return the numbers and the gradient of a step as the loop makes them."""
    objective.zero_grad()
    views = [objective.views(part, draws()) for part in parts]
    per_part = [objective.objective.counts(view) for view in views]
    counts = {name: torch.stack([part[name] for part in per_part]).sum() for name in per_part[0]}
    losses = [objective(view, draws()) for view in views]
    for group in [losses] if objective.objective.whole_step else [[loss] for loss in losses]:
        added(group).share(counts).backward()
    gradients = {
        name: weight.grad.clone() for name, weight in objective.named_parameters() if weight.grad is not None
    }
    return added(loss.detached() for loss in losses).numbers(), gradients


def weighted(batch: Batch) -> Batch:
    return replace(batch, weights_B=torch.linspace(0.0, 3.0, len(batch)))


@pytest.fixture(params=PAIRS, ids="+".join, scope="module")
def objective(request: pytest.FixtureRequest) -> Learner:
    # In double precision sums of parts agree to rounding; batch normalisation has its own test below.
    # A tokenizer works in single precision always.
    built = build(*request.param, seed=0).eval()
    return built if built.requirements.tokenizer else built.double()


def weighted_batch(objective: Learner) -> Batch:
    batch = weighted(batch_for(objective))
    return batch if objective.requirements.tokenizer else double(batch)


def double(batch: Batch) -> Batch:
    assert batch.p4_BN4 is not None
    return replace(
        batch,
        features_BNF=batch.features_BNF.double(),
        p4_BN4=batch.p4_BN4.double(),
        context_BC=None if batch.context_BC is None else batch.context_BC.double(),
        weights_B=None if batch.weights_B is None else batch.weights_B.double(),
        labels={name: x.double() if x.is_floating_point() else x for name, x in batch.labels.items()},
    )


def test_loss_and_gradient_do_not_depend_on_how_a_step_is_cut(objective: Learner) -> None:
    batch = weighted_batch(objective)
    whole, gradient = step(objective, parts_of(batch, "one_part"))
    for cut in ("halves", "sorted_by_length", "unequal"):
        numbers, other = step(objective, parts_of(batch, cut))
        for name, number in whole.items():
            assert numbers[name] == pytest.approx(number, rel=1e-5, abs=1e-7), (cut, name)
        for name, grad in gradient.items():
            scale = 1 + float(grad.abs().sum())
            torch.testing.assert_close(other[name], grad, rtol=1e-4, atol=1e-6 * scale, msg=f"{cut} {name}")


def test_counts_from_views_are_those_of_the_loss(objective: Learner) -> None:
    batch = weighted_batch(objective)
    views = objective.views(batch, draws())
    counts, loss = objective.objective.counts(views), objective(views, draws())
    minimised = {name: float(term.count) for name, term in loss.terms.items() if term.weight}
    assert {name: float(count) for name, count in counts.items()} == pytest.approx(minimised)
