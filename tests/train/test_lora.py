"""Low-rank updates: nothing at the start, few weights trained, exact when merged."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.core.errors import IncompatibleError
from hepfm.data import feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.heads import HEADS
from hepfm.models.fixture import forward, random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec
from hepfm.train.lora import Lora, LoraConfig

SPECS = (
    {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2},
    {"name": "particle_transformer", "size": "xs", "depth": 1},
)


def make_network(spec: dict[str, object]) -> Network:
    backbone = resolve_component(BACKBONES, spec, where="test")
    head = HeadSpec(resolve_component(HEADS, "classify", where="test"), jet_schema(("a", "b"))["jet_label"])
    with seeded_init(0, "test"):
        return build_network(backbone, feature_set("kin"), heads=[head]).eval()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec["name"])
def test_merged_is_unmerged_and_ordinary(spec: dict[str, object]) -> None:
    network, batch = make_network(spec), random_batch(feature_set("kin"))
    names, before = list(network.state_dict()), forward(network, batch)
    strategy = Lora(LoraConfig(rank=4, alpha=8.0))
    strategy.prepare(network)
    at_start = forward(network, batch)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith(".up"):
                weight.normal_(std=0.1)
    unmerged = forward(network, batch)
    strategy.finish(network)
    merged = forward(network, batch)
    assert sorted(network.state_dict()) == sorted(names)
    for name in before:
        torch.testing.assert_close(at_start[name], before[name], rtol=1e-4, atol=1e-5)  # kernels may differ
        torch.testing.assert_close(merged[name], unmerged[name], rtol=1e-5, atol=1e-6)
        assert not torch.allclose(merged[name], before[name], atol=1e-3), "the updates did nothing"


def test_only_updates_and_heads_are_trained() -> None:
    network = make_network(SPECS[0])
    Lora(LoraConfig(rank=2)).prepare(network)
    trained = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert trained
    assert all(name.endswith((".up", ".down")) or name.startswith("heads.") for name in trained)
    linear = network.backbone.blocks[0].feedforward.expand  # 16 -> 64
    count = sum(weight.numel() for weight in linear.parameters() if weight.requires_grad)
    assert count == 2 * (16 + 64)


def test_a_backbone_without_linear_layers_is_refused() -> None:
    network = make_network(SPECS[0])
    network.backbone = nn.Conv1d(1, 1, 1)  # type: ignore[assignment]
    with pytest.raises(IncompatibleError, match="mode=full"):
        Lora(LoraConfig()).prepare(network)
