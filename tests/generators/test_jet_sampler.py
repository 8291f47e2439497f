"""The jet sampler: valid numbers always, and what it learns is judged against the data."""

from __future__ import annotations

import pytest
import torch
from builders import draws, generator
from scipy.stats import wasserstein_distance
from torch import Tensor

from hepfm.generators.jet_sampler import JetSampler
from hepfm.networks.build import seeded_init


def build(*, num_classes: int = 2, num_context: int = 0, max_constituents: int = 30) -> JetSampler:
    with seeded_init(0, "test"):
        return JetSampler(
            num_classes=num_classes, num_context=num_context, max_constituents=max_constituents, width=32
        )


def jets(rows: int, seed: int, *, cut: int = 30) -> tuple[Tensor, Tensor, Tensor]:
    """Class, number (cut to `cut`) and context: both grow with the class, the number with pt too."""
    draw = generator(seed)
    label = torch.arange(rows) % 2
    log_pt = 6.5 + 0.3 * label + 0.1 * torch.randn(rows, generator=draw)
    mean = 12 + 10 * label + 40 * (log_pt - 6.65)
    count = (mean + 4 * torch.randn(rows, generator=draw)).round().long().clamp(1, cut)
    eta = 2 * torch.rand(rows, generator=draw) - 1
    return label, count, torch.stack([log_pt, eta, count.float()], dim=-1)


def train(sampler: JetSampler, label: Tensor, count: Tensor, context: Tensor | None, steps: int) -> None:
    optimizer = torch.optim.Adam(sampler.parameters(), 3e-3)
    # With a rate that falls the outcome does not hang on the last few steps.
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, steps)
    draw = generator(7)
    for step in range(steps):
        row = torch.randint(0, len(label), (256,), generator=draw)
        loss = sampler.loss(
            label[row], count[row], None if context is None else context[row], draws(step).rows(row)
        )
        total = loss.multiplicity_B.mean() + (0 if loss.jet_B is None else loss.jet_B.mean())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()


def test_numbers_are_valid_before_any_training_and_never_above_what_was_seen() -> None:
    sampler = build()
    label = torch.arange(2000) % 3
    count, context = sampler.sample(label, generator())
    assert context is None
    assert (int(count.min()), int(count.max())) == (1, 30)
    assert not sampler.fitted
    sampler.fit([(torch.tensor([3, 12]), None)])
    assert sampler.fitted
    count, _ = sampler.sample(label, generator())
    assert (int(count.min()), int(count.max())) == (1, 12)


def test_probabilities_sum_to_one_and_the_loss_is_their_cross_entropy() -> None:
    sampler = build()
    sampler.fit([(torch.tensor([20]), None)])
    label = torch.zeros(20, dtype=torch.long)
    loss = sampler.loss(label, torch.arange(1, 21), None, draws().rows(label))
    assert float((-loss.multiplicity_B).exp().sum().detach()) == pytest.approx(1.0, abs=1e-5)
    assert loss.jet_B is None


def test_a_row_without_constituents_teaches_no_number() -> None:
    loss = build().loss(
        torch.zeros(2, dtype=torch.long), torch.tensor([0, 5]), None, draws().rows(torch.arange(2))
    )
    assert float(loss.multiplicity_B[0].detach()) == 0.0
    assert float(loss.multiplicity_B[1].detach()) > 0.0


def test_neighbouring_numbers_have_similar_probabilities_after_few_rows() -> None:
    """Sixty rows leave most of 100 numbers unseen; the learned ones still vary slowly."""
    sampler = build(num_classes=0, max_constituents=100)
    count = (50 + 15 * torch.randn(60, generator=generator(1))).round().long().clamp(1, 99)
    label = torch.zeros(60, dtype=torch.long)
    sampler.fit([(count, None), (torch.tensor([100]), None)])
    train(sampler, label, count, None, 150)
    logs = -sampler.loss(
        label[:1].expand(60), torch.arange(20, 80), None, draws().rows(label)
    ).multiplicity_B.detach()
    assert float(logs.diff().abs().max()) < 0.8
    assert float(logs.max() - logs.min()) > 1.0


def test_what_is_learned_agrees_with_the_data_class_by_class() -> None:
    label, count, context = jets(4000, 0)
    sampler = build(num_context=3)
    sampler.fit([(count, context)])
    before = distances(sampler, label, context)
    train(sampler, label, count, context, 500)
    after = distances(sampler, label, context)
    for name, value in after.items():
        assert value < 0.5 * before[name], name
        assert value < 0.15, name


def distances(sampler: JetSampler, label: Tensor, context: Tensor) -> dict[str, float]:
    """W1 of each column in units of its spread, the worse of both classes."""
    _, made = sampler.sample(label, generator(3))
    assert made is not None
    found = {}
    for column, name in enumerate(("log_pt", "eta", "count")):
        spread = float(context[:, column].std())
        found[name] = max(
            wasserstein_distance(made[label == k, column].numpy(), context[label == k, column].numpy())
            / spread
            for k in (0, 1)
        )
    return found


def test_the_number_follows_the_kinematics() -> None:
    """Numbers shuffled among rows are the control: then none follows."""
    slopes = {}
    for shuffled in (False, True):
        label, count, context = jets(4000, 0, cut=60)
        if shuffled:
            count = count[torch.randperm(len(count), generator=generator(5))]
            context = torch.cat([context[:, :2], count[:, None].float()], dim=-1)
        sampler = build(num_context=3, max_constituents=60)
        sampler.fit([(count, context)])
        train(sampler, label, count, context, 300)
        made_count, made = sampler.sample(torch.zeros(4000, dtype=torch.long), generator(4))
        assert made is not None
        slopes[shuffled] = float(torch.corrcoef(torch.stack([made[:, 0], made_count.float()]))[0, 1])
    assert slopes[False] > 0.5
    assert abs(slopes[True]) < 0.15


def test_a_pile_up_at_the_cut_is_learned() -> None:
    label, count, _ = jets(4000, 0, cut=20)
    share = float((count[label == 1] == 20).float().mean())
    sampler = build(max_constituents=20)
    sampler.fit([(count, None)])
    train(sampler, label, count, None, 300)
    made, _ = sampler.sample(torch.ones(4000, dtype=torch.long), generator())
    assert share > 0.5
    assert float((made == 20).float().mean()) == pytest.approx(share, abs=0.05)


def test_missing_context_is_named() -> None:
    with pytest.raises(ValueError, match="no context"):
        build(num_context=3).loss(
            torch.zeros(1, dtype=torch.long),
            torch.ones(1, dtype=torch.long),
            None,
            draws().rows(torch.arange(1)),
        )
    assert build(num_context=3).standardize.limit_F.isinf().all()


def test_numbers_follow_a_context_that_does_not_tell_them() -> None:
    label, count, context = jets(4000, 1)
    with seeded_init(0, "test"):
        sampler = JetSampler(num_classes=2, num_context=2, counted=False, max_constituents=30, width=32)
    sampler.fit([(count, context[:, :2])])
    train(sampler, label, count, context[:, :2], 300)
    told, real, _ = jets(4000, 2)
    given = jets(4000, 2)[2][:, :2]
    drawn = sampler.count(told, given, torch.rand(len(told), generator=generator()))
    assert abs(float((drawn - real).float().mean())) < 0.7
    assert torch.corrcoef(torch.stack([drawn.float(), real.float()]))[0, 1] > 0.7
    _, made = sampler.sample(told, generator())
    assert made is not None
    assert made.shape == (4000, 2), "the number is no part of such a context"
