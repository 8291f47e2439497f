"""The laws of an objective, on random jets; see `hepfm.objectives.base.Objective`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from hepfm.backbones import BACKBONES
from hepfm.core.config import Component, resolve_component
from hepfm.core.errors import IncompatibleError
from hepfm.data import context_set
from hepfm.data.context import ContextSet
from hepfm.models.weights import load_strictly, load_tensors, save_tensors
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.specs import TokenizerSpec
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.compatibility import check_compatible
from hepfm.testing.laws import hold
from hepfm.testing.objective_steps import (
    DRAWS,
    EVENTS,
    JETS,
    ROWS,
    Rows,
    as_shaped,
    batch_for,
    changed,
    exact,
    frozen,
    loss_of,
    step,
    take,
    weighted_batch,
)
from hepfm.train.learner import Learner, make_learner

CUTS: dict[str, tuple[tuple[int, ...], ...]] = {
    "halves": (tuple(range(8)), tuple(range(8, ROWS))),
    "unequal parts": ((3,), tuple(range(4, ROWS)), (0, 1, 2)),
}
"""Rows of the parts that a step is cut into."""


@dataclass(frozen=True)
class ObjectiveCase:
    """An objective with the backbone that it trains.

    Attributes
    ----------
    spec
        Name of the objective, or a mapping with ``name`` and options, as in a recipe.
    backbone
        Name of the backbone; its smallest size is taken.
    tokenizer
        Tokenizer of the network, for an objective that needs one without training it.
    """

    spec: str | Mapping[str, Any]
    backbone: str
    tokenizer: TokenizerSpec | None = None

    @property
    def rows(self) -> Rows:
        """Jets, or events for an objective of these."""
        component = resolve_component(OBJECTIVES, self.spec, where="check_objective")
        try:
            component.cls.requirements(component.config, JETS.schema)
        except IncompatibleError:
            try:
                component.cls.requirements(component.config, EVENTS.schema)
            except IncompatibleError:
                return JETS
            return EVENTS
        return JETS

    @property
    def context(self) -> ContextSet | None:
        """The jet or the event, for backbones that can be shown it."""
        if "prefix" not in BACKBONES.load(self.backbone).supports:
            return None
        return context_set(self.rows.context)

    def construct(self, *, seed: int = 0) -> Learner:
        """Return network and objective before `prepare`; raise `IncompatibleError` if they do not fit."""
        component = resolve_component(OBJECTIVES, self.spec, where="check_objective")
        backbone = smallest(self.backbone)
        rows = self.rows
        check_compatible(component, backbone, rows.schema)
        with seeded_init(seed, "test"):
            network = build_network(backbone, rows.features, context=self.context, tokenizer=self.tokenizer)
            return make_learner(component, network, rows.schema)

    def build(self, *, seed: int = 0) -> Learner:
        """Return network and objective as they are before the first step."""
        return self.prepared(self.construct(seed=seed))

    def prepared(self, learner: Learner) -> Learner:
        """Return the learner after `prepare`, a tokenizer with a codebook."""
        batch, network = batch_for(learner), learner.network
        if network.tokenizer is not None:
            network.tokenizer.fit([(network.standardize(batch.features_BNF, batch.mask_BN), batch.mask_BN)])
        learner.prepare([batch])
        return learner

    def fits(self) -> bool:
        """Tell whether the objective can train the backbone."""
        try:
            self.construct()
        except IncompatibleError:
            return False
        return True


def smallest(name: str) -> Component:
    """Return a backbone at the first of its sizes."""
    sizes = getattr(BACKBONES.load(name), "sizes", {})
    size = {"size": next(iter(sizes))} if sizes else {}
    return resolve_component(BACKBONES, {"name": name, **size}, where="check_objective")


def it_says_what_its_views_let_through(case: ObjectiveCase) -> None:
    """`lets_through` says in a few words what the views show of what they hide."""
    component = resolve_component(OBJECTIVES, case.spec, where="check_objective")
    words = getattr(component.cls, "lets_through", "").split()
    assert len(words) >= 5, f"lets_through has {len(words)} words"


def its_views_are_those_it_requires(case: ObjectiveCase) -> None:
    """`views` returns the names that `requirements` gives."""
    learner = case.build()
    names, expected = set(learner.views(batch_for(learner), DRAWS)), set(learner.requirements.views)
    assert names == expected, f"views {sorted(names)}, requirements {sorted(expected)}"


def the_loss_is_finite_and_logged_terms_have_no_gradient(case: ObjectiveCase) -> None:
    """Each term is a finite scalar; it has a gradient if, and only if, its weight is not 0."""
    learner = case.build()
    loss = loss_of(learner, batch_for(learner))
    assert loss.total.shape == ()
    assert loss.total.isfinite(), f"the loss is {float(loss.total)}"
    for name, term in loss.terms.items():
        number = term.number()
        assert number.shape == (), f"term {name!r} has the shape {tuple(number.shape)}"
        assert number.isfinite(), f"term {name!r} is {float(number)}"
        assert number.requires_grad == bool(term.weight), f"term {name!r} of weight {term.weight}"


def every_trainable_parameter_gets_a_finite_gradient(case: ObjectiveCase) -> None:
    """What does not get one must be frozen: ``requires_grad_(False)``."""
    learner = case.build().train()
    loss_of(learner, batch_for(learner)).total.backward()  # type: ignore[no-untyped-call]
    for name, weight in learner.named_parameters():
        if weight.requires_grad:
            assert weight.grad is not None, f"{name} gets no gradient"
            assert weight.grad.isfinite().all(), f"the gradient of {name} is not finite"


def the_same_seeds_give_the_same_loss(case: ObjectiveCase) -> None:
    """All random numbers of views and loss come from `draws`."""
    learner = case.build().train()
    losses = []
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            losses.append(float(loss_of(learner, batch_for(learner)).total.detach()))
    assert losses[0] == losses[1], f"{losses[0]} and {losses[1]}"


@torch.no_grad()
def padding_does_not_change_the_loss(case: ObjectiveCase) -> None:
    """Rows padded to a greater length have the same loss."""
    learner = case.build().eval()
    batch = batch_for(learner)
    longer = changed(batch, lambda values: F.pad(values, (0, 0) * (values.ndim - 2) + (0, 7)))
    short, long = loss_of(learner, batch).total, loss_of(learner, longer).total
    torch.testing.assert_close(long, short, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def a_row_of_weight_zero_does_not_count(case: ObjectiveCase) -> None:
    """What such a row holds is changed; statistics of all rows together are left out (`whole_step`)."""
    learner = case.build().eval()
    if learner.objective.whole_step:
        return
    batch = replace(batch_for(learner), weights_B=torch.tensor([1.0] * (ROWS - 1) + [0.0]))
    other = batch.features_BNF.clone()
    other[-1] += 0.7 * batch.mask_BN[-1, :, None]
    first, second = (
        loss_of(learner, replace(batch, features_BNF=features)).total
        for features in (batch.features_BNF, other)
    )
    torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-6)


def rows_of_one_or_no_constituent_give_finite_losses_and_gradients(case: ObjectiveCase) -> None:
    """Means over nothing must not become NaN."""
    learner = case.build().train()
    batch = batch_for(learner)
    mask_BN = torch.arange(batch.mask_BN.shape[1]) < torch.tensor([0, 1, 2, 0] * 4)[:, None]
    short = changed(replace(batch, mask_BN=mask_BN), lambda values: values * as_shaped(values, mask_BN))
    loss = loss_of(learner, short)
    loss.total.backward()  # type: ignore[no-untyped-call]
    assert loss.total.isfinite(), f"the loss is {float(loss.total)}"
    for name, weight in learner.named_parameters():
        assert weight.grad is None or weight.grad.isfinite().all(), f"gradient of {name}"


def loss_and_gradient_do_not_depend_on_how_a_step_is_cut(case: ObjectiveCase) -> None:
    """Parts of a step add up to the whole: `loss` returns sums and counts, never means of a part."""
    learner = exact(case.build().eval())
    batch = weighted_batch(learner)
    whole, gradient = step(learner, [batch])
    by_length = batch.mask_BN.sum(1).argsort(descending=True, stable=True).split(4)  # type: ignore[no-untyped-call]
    cuts = {"parts by length": [part.tolist() for part in by_length], **CUTS}
    for cut, parts in cuts.items():
        numbers, other = step(learner, [take(batch, torch.tensor(part)) for part in parts])
        for name, number in whole.items():
            text = f"{cut}: {name} is {numbers[name]}, of the whole step {number}"
            assert abs(numbers[name] - number) <= max(1e-5 * abs(number), 1e-7), text
        for name, grad in gradient.items():
            scale = 1 + float(grad.abs().sum())
            torch.testing.assert_close(
                other[name], grad, rtol=1e-4, atol=1e-6 * scale, msg=f"{cut}: gradient of {name}"
            )


def counts_from_views_are_those_of_the_loss(case: ObjectiveCase) -> None:
    """`weights` has the terms of `loss` that are minimised, with the same sums of weights."""
    learner = exact(case.build().eval())
    views = learner.views(weighted_batch(learner), DRAWS)
    counts = {name: float(count) for name, count in learner.objective.counts(views).items()}
    terms = {name: term for name, term in learner(views, DRAWS).terms.items() if term.weight}
    assert counts.keys() == terms.keys(), f"weights: {sorted(counts)}, minimised: {sorted(terms)}"
    for name, term in terms.items():
        expected = float(term.count)
        assert abs(counts[name] - expected) <= 1e-6 * abs(expected), f"{name}: {counts[name]}, not {expected}"


def saved_and_loaded_weights_give_the_same_loss(case: ObjectiveCase) -> None:
    """All that `prepare` and `after_step` set is in parameters and buffers, which checkpoints keep."""
    first, second = case.build(seed=0).eval(), case.build(seed=1).eval()
    batch = batch_for(first)
    first.objective.after_step(first.network, 1, 10)
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        before = float(loss_of(first, batch).total)
        assert float(loss_of(second, batch).total) != before, "the loss does not depend on the weights"
        save_tensors(path, first.state_dict())
        load_strictly(second, load_tensors(path), where=path)
        after = float(loss_of(second, batch).total)
    assert after == before, f"{before} before saving, {after} after loading"


@torch.no_grad()
def bfloat16_gives_nearly_the_same_loss(case: ObjectiveCase) -> None:
    """Under autocast the loss is that of single precision to 3 %."""
    learner = case.build().eval()
    batch = batch_for(learner)
    full = loss_of(learner, batch).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss_of(learner, batch).total
    torch.testing.assert_close(half.float(), full, rtol=0.03, atol=0.03)


@torch.no_grad()
def a_copy_of_the_network_starts_with_its_weights(case: ObjectiveCase) -> None:
    """`prepare` copies them: when a teacher is made, a pre-trained model's are not loaded yet."""
    learner = case.construct()
    network = learner.network.state_dict()
    copies = {
        name: key
        for name, weight in frozen(learner).items()
        for key, original in network.items()
        if name.endswith(f".{key}") and weight.shape == original.shape and weight.equal(original)
    }
    for weight in learner.network.parameters():
        weight.add_(0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    case.prepared(learner)
    weights, network = frozen(learner), learner.network.state_dict()
    for name, key in copies.items():
        assert weights[name].equal(network[key]), f"{name} has not the weights that training starts from"


def what_is_frozen_stays_in_evaluation_mode(case: ObjectiveCase) -> None:
    """Dropout in a teacher would make its targets noisy: override `train`."""
    objective = case.build().train().objective
    for name, module in objective.named_modules():
        weights = list(module.parameters(recurse=False))
        if weights and not any(weight.requires_grad for weight in weights):
            assert not module.training, f"{name} is in training mode"


LAWS = (
    it_says_what_its_views_let_through,
    its_views_are_those_it_requires,
    the_loss_is_finite_and_logged_terms_have_no_gradient,
    every_trainable_parameter_gets_a_finite_gradient,
    the_same_seeds_give_the_same_loss,
    padding_does_not_change_the_loss,
    a_row_of_weight_zero_does_not_count,
    rows_of_one_or_no_constituent_give_finite_losses_and_gradients,
    loss_and_gradient_do_not_depend_on_how_a_step_is_cut,
    counts_from_views_are_those_of_the_loss,
    saved_and_loaded_weights_give_the_same_loss,
    bfloat16_gives_nearly_the_same_loss,
    a_copy_of_the_network_starts_with_its_weights,
    what_is_frozen_stays_in_evaluation_mode,
)


def check_objective(spec: str | Mapping[str, Any], *, backbones: Sequence[str] | None = None) -> None:
    """Hold an objective to its contract, on random jets of ten classes with all features.

    Parameters
    ----------
    spec
        Its name in the registry, or a mapping with ``name`` and options, as in a recipe.
    backbones
        Names of the backbones that it is tried with; all that fit it by default.

    Raises
    ------
    AssertionError
        With every law that does not hold; also when no backbone fits.
    """
    cases = [ObjectiveCase(spec, name) for name in backbones or BACKBONES]
    fitting = [case for case in cases if backbones or case.fits()]
    assert fitting, f"no registered backbone fits the objective {spec!r}"
    for case in fitting:
        hold(LAWS, case, what=f"the objective {spec!r} with the backbone {case.backbone!r}")
