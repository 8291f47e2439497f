"""The contract of objectives, over every registered pair that fits jets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from hepfm.backbones import BACKBONES
from hepfm.core.batch import Batch
from hepfm.core.config import Component, resolve_component
from hepfm.core.errors import IncompatibleError
from hepfm.core.jets import JETCLASS_CLASSES, jet_schema
from hepfm.core.schema import Kind
from hepfm.data import feature_set
from hepfm.models.build import build_network, seeded_init
from hepfm.models.fixture import random_batch
from hepfm.models.weights import load_strictly, load_tensors, save_tensors
from hepfm.objectives import OBJECTIVES
from hepfm.objectives.base import Objective
from hepfm.objectives.compatibility import check_compatible

SCHEMA = jet_schema(JETCLASS_CLASSES)


def smallest(name: str) -> Component:
    sizes = getattr(BACKBONES.load(name), "sizes", {})
    return resolve_component(
        BACKBONES, {"name": name, **({"size": "xs"} if "xs" in sizes else {})}, where="test"
    )


def fits(objective: str, backbone: str) -> bool:
    try:
        check_compatible(resolve_component(OBJECTIVES, objective, where="test"), smallest(backbone), SCHEMA)
    except IncompatibleError:
        return False
    return True


PAIRS = [
    (objective, backbone) for objective in OBJECTIVES for backbone in BACKBONES if fits(objective, backbone)
]


@pytest.fixture(params=PAIRS, ids="+".join)
def objective(request: pytest.FixtureRequest) -> Objective:
    return build(*request.param, seed=0)


def build(objective: str, backbone: str, *, seed: int) -> Objective:
    component = resolve_component(OBJECTIVES, objective, where="test")
    with seeded_init(seed, "test"):
        network = build_network(smallest(backbone), feature_set("full"))
        built: Objective = component.cls(component.config, network, SCHEMA)
    return built


def batch_for(objective: Objective) -> Batch:
    batch = random_batch(feature_set("full"))
    labels = {}
    for name in objective.targets(objective.config, SCHEMA):
        field = SCHEMA[name]
        number = torch.arange(len(batch))
        labels[name] = number % len(field.classes) if field.kind is Kind.CATEGORICAL else number.float()
    return replace(batch, labels=labels)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_the_loss_is_a_finite_scalar_with_detached_parts(objective: Objective) -> None:
    loss = objective(batch_for(objective), generator())
    assert loss.total.shape == ()
    assert torch.isfinite(loss.total)
    for name, part in loss.parts.items():
        assert part.shape == (), name
        assert torch.isfinite(part), name
        assert not part.requires_grad, name


def test_every_trainable_weight_gets_a_finite_gradient(objective: Objective) -> None:
    objective.train()
    objective(batch_for(objective), generator()).total.backward()
    for name, weight in objective.named_parameters():
        if weight.requires_grad:
            assert weight.grad is not None, name
            assert torch.isfinite(weight.grad).all(), name


def test_the_same_seeds_give_the_same_loss(objective: Objective) -> None:
    objective.train()
    losses = []
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            losses.append(float(objective(batch_for(objective), generator()).total.detach()))
    assert losses[0] == losses[1]


def test_padding_does_not_change_the_loss(objective: Objective) -> None:
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
        short, long = objective(batch).total, objective(longer).total
    torch.testing.assert_close(long, short, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_saved_and_loaded_weights_give_the_same_loss(pair: tuple[str, str], tmp_path: Path) -> None:
    first, second = build(*pair, seed=0).eval(), build(*pair, seed=1).eval()
    batch = batch_for(first)
    with torch.no_grad():
        before = float(first(batch).total)
        assert float(second(batch).total) != before
        save_tensors(tmp_path / "weights.safetensors", first.state_dict())
        load_strictly(second, load_tensors(tmp_path / "weights.safetensors"), where=tmp_path)
        assert float(second(batch).total) == before
