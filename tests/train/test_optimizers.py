"""Optimizers against their update rules, and parameter groups."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.data import context_set, feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.generators import GENERATORS
from hepfm.heads import HEADS
from hepfm.models.partial import load_partially
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.specs import TokenizerSpec
from hepfm.objectives import OBJECTIVES
from hepfm.tokenizers import TOKENIZERS
from hepfm.train.checkpoint import pack_optimizer, unpack_optimizer
from hepfm.train.learner import Learner, make_learner
from hepfm.train.lion import Lion
from hepfm.train.optimizers import OPTIMIZERS, Groups, parameter_groups, set_factor

TRANSFORMER = resolve_component(
    BACKBONES, {"name": "transformer", "width": 16, "depth": 2, "num_heads": 2}, where="test"
)


def supervised(*, codes: TokenizerSpec | None = None) -> Learner:
    with seeded_init(0, "test"):
        network = build_network(TRANSFORMER, feature_set("pet"), tokenizer=codes)
        component = resolve_component(OBJECTIVES, "supervised", where="test")
        return make_learner(component, network, jet_schema(("a", "b")))


def test_lion_follows_algorithm_2_of_its_paper() -> None:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(5, dtype=torch.float64))
    optimizer = Lion([weight], lr=0.1, betas=(0.9, 0.99), weight_decay=0.3)
    expected, momentum = weight.detach().clone(), torch.zeros(5, dtype=torch.float64)
    for _ in range(4):
        gradient = torch.randn(5, dtype=torch.float64)
        weight.grad = gradient.clone()
        optimizer.step()
        update = torch.sign(0.9 * momentum + 0.1 * gradient) + 0.3 * expected
        expected, momentum = expected - 0.1 * update, 0.99 * momentum + 0.01 * gradient
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-12, atol=1e-12)


def test_lion_calls_its_closure_and_leaves_weights_without_gradient() -> None:
    used, unused = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    optimizer = Lion([used, unused], lr=0.5)

    def closure() -> float:
        loss = used.sum()
        loss.backward()
        return float(loss.detach())

    assert optimizer.step(closure) == 2.0
    assert used.tolist() == [0.5, 0.5]
    assert unused.tolist() == [1.0, 1.0]


def groups_of(learner: Learner) -> Groups:
    return parameter_groups(learner, lr=1.0, weight_decay=0.1, layer_decay=0.5, head_factor=50.0)


def test_layers_heads_and_vectors_get_their_rates_and_decay() -> None:
    learner = supervised()
    rate = {id(p): (g["lr"], g["weight_decay"]) for g in groups_of(learner) for p in g["params"]}
    backbone = learner.network.backbone
    assert rate[id(learner.network.heads["jet_label"].linear.weight)] == (50.0, 0.1)
    assert rate[id(learner.network.heads["jet_label"].linear.bias)] == (50.0, 0.0)
    assert rate[id(backbone.norm.weight)] == (0.5, 0.0)
    assert rate[id(backbone.blocks[1].feedforward.expand.weight)] == (0.25, 0.1)
    assert rate[id(backbone.blocks[0].feedforward.expand.weight)] == (0.125, 0.1)
    assert rate[id(backbone.embedding[0].weight)] == (0.0625, 0.1)
    assert len(rate) == len(list(learner.parameters()))


LABELS = {"regress": "jet_softdrop_mass", "classify_constituents": "part_pid"}
"""What heads learn that do not classify rows."""

FINETUNING: dict[str, dict[str, Any]] = {
    **{
        f"head-{name}": {
            "name": "supervised",
            "label": LABELS.get(name, "jet_label"),
            "head": {"name": name, **({"num_heads": 2} if name.startswith("class_") else {})},
        }
        for name in HEADS
        if HEADS.load(name).level in ("row", "constituent") and name != "knn"  # which has no weights
    },
    "head-pairs": {"name": "vertices"},
    "generator-flow": {"name": "flow_matching"},
    "generator-autoregressive": {"name": "next_token"},
    "objective-masked": {"name": "masked"},
}
"""What is fine-tuned to: every head, every generator, and an objective with modules of its own."""


def test_every_generator_is_fine_tuned_to() -> None:
    tried = {name.removeprefix("generator-") for name in FINETUNING if name.startswith("generator-")}
    assert tried == set(GENERATORS)


@pytest.mark.parametrize("name", list(FINETUNING))
def test_what_is_new_has_the_rate_of_heads_and_what_was_loaded_has_not(name: str) -> None:
    spec = resolve_component(OBJECTIVES, FINETUNING[name], where="test")
    codes = TokenizerSpec(
        resolve_component(TOKENIZERS, {"name": "kmeans", "codes": 16}, where="test"), "decoded"
    )
    schema, source = jet_schema(("a", "b"), truth=True), supervised(codes=codes).network
    with seeded_init(1, "test"):
        network = build_network(TRANSFORMER, feature_set("pet"), context=context_set("jet"), tokenizer=codes)
        learner = make_learner(spec, network, schema)
    table = load_partially(network, source.state_dict(), heads="new")
    groups = parameter_groups(learner, lr=1.0, weight_decay=0.1, head_factor=50.0, new=table.names)
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    trained = {key: weight for key, weight in learner.named_parameters() if weight.requires_grad}
    known = {f"network.{key}" for key in source.state_dict() if not key.startswith("heads.")}
    assert {key for key, weight in trained.items() if rates[id(weight)] == 1.0} == known & trained.keys()
    new = {key for key in trained if key not in known}
    assert {key for key, weight in trained.items() if rates[id(weight)] == 50.0} == new
    # The model was conditioned neither on the row nor on time: that of the new one is new.
    assert any(key.startswith("network.conditioning.context.") for key in new)
    part = {"head": "network.heads.", "generator": "network.generator.", "objective": ""}[name.split("-")[0]]
    assert any(key.startswith(part) for key in new)


def test_a_generator_has_the_rate_of_heads_from_scratch_too() -> None:
    spec = resolve_component(OBJECTIVES, {"name": "flow_matching"}, where="test")
    with seeded_init(1, "test"):
        learner = make_learner(spec, build_network(TRANSFORMER, feature_set("pet")), jet_schema(("a", "b")))
    rates = {id(weight): group["lr"] for group in groups_of(learner) for weight in group["params"]}
    generator = [weight for weight in learner.network.generator.parameters() if weight.requires_grad]
    assert {rates[id(weight)] for weight in generator} == {50.0}
    assert 50.0 not in {rates[id(weight)] for weight in learner.network.backbone.parameters()}


def test_frozen_weights_are_in_no_group() -> None:
    learner = supervised()
    learner.network.backbone.requires_grad_(False)
    chosen = [parameter for group in groups_of(learner) for parameter in group["params"]]
    assert {id(parameter) for parameter in chosen} == {id(p) for p in learner.network.heads.parameters()}


def test_a_factor_acts_on_the_peak_not_on_the_present_rate() -> None:
    groups: Groups = [{"lr": 1.0, "peak_lr": 1.0}, {"lr": 50.0, "peak_lr": 50.0}]
    set_factor(groups, 0.5)
    assert set_factor(groups, 0.1) == 5.0
    assert [group["lr"] for group in groups] == pytest.approx([0.1, 5.0])


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_the_state_survives_packing_bit_for_bit(name: str) -> None:
    component = resolve_component(OPTIMIZERS, name, where="test")
    ours = supervised()
    optimizer = component.cls.build(component.config, groups_of(ours))
    generator = torch.Generator().manual_seed(0)

    def step(learner: Learner, optimizer: torch.optim.Optimizer) -> None:
        for parameter in learner.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()

    step(ours, optimizer)
    theirs = copy.deepcopy(ours)
    other = component.cls.build(component.config, groups_of(theirs))
    tensors, values = pack_optimizer(optimizer, lambda _, value: value)
    copies = {key: tensor.clone() for key, tensor in tensors.items()}
    unpack_optimizer(other, copies, values, lambda _, value: value)
    state = generator.get_state()
    step(ours, optimizer)
    generator.set_state(state)
    step(theirs, other)
    for first, second in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(first, second)
