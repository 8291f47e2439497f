"""Partial loading says what it did, and refuses weights of another architecture."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.core.errors import IncompatibleError, ModelError
from hepfm.data import context_set, feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.heads import HEADS
from hepfm.models.partial import load_partially
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec


def network(seed: int, classes: tuple[str, ...], **options: Any) -> Network:
    spec = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2, **options}
    backbone = resolve_component(BACKBONES, spec, where="test")
    head = HeadSpec(resolve_component(HEADS, "classify", where="test"), jet_schema(classes)["jet_label"])
    with seeded_init(seed, "test"):
        return build_network(backbone, feature_set("kin"), heads=[head])


def test_the_backbone_is_loaded_and_the_head_is_new() -> None:
    ours, theirs = network(0, ("a", "b")), network(1, ("a", "b", "c"))
    head = ours.heads["jet_label"].linear.weight.clone()
    table = load_partially(ours, theirs.state_dict(), heads="new")
    for name, weight in theirs.backbone.state_dict().items():
        assert torch.equal(ours.backbone.state_dict()[name], weight), name
    assert torch.equal(ours.heads["jet_label"].linear.weight, head)
    assert table.new == {"heads.jet_label": 2 * 16 + 2}
    assert table.dropped == {"heads.jet_label": 3 * 16 + 3}
    assert sum(table.loaded.values()) == sum(v.numel() for v in theirs.state_dict().values()) - 51
    assert any(line.split() == ["heads.jet_label", "34", "new"] for line in table.lines())


def test_heads_are_loaded_when_asked() -> None:
    ours, theirs = network(0, ("a", "b")), network(1, ("a", "b"))
    table = load_partially(ours, theirs.state_dict(), heads="keep")
    assert table.new == table.dropped == {}
    for name, weight in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], weight), name


def test_reuse_takes_all_of_a_head_but_its_last_layer() -> None:
    ours, theirs = network(0, ("a", "b")), network(1, ("a", "b"))
    for net in (ours, theirs):
        net.heads["jet_label"].mixing = torch.nn.Linear(16, 16)
    last = ours.heads["jet_label"].linear.weight.clone()
    table = load_partially(ours, theirs.state_dict(), heads="reuse")
    mixing = ours.heads["jet_label"].mixing.weight
    assert torch.equal(mixing, theirs.heads["jet_label"].mixing.weight)  # type: ignore[union-attr]
    assert torch.equal(ours.heads["jet_label"].linear.weight, last)
    assert table.new == table.dropped == {"heads.jet_label": 2 * 16 + 2}


def test_parts_that_the_other_model_lacks_stay_new() -> None:
    ours, theirs = network(0, ("a", "b")), network(1, ("a", "b"))
    ours.add_time()
    table = load_partially(ours, theirs.state_dict(), heads="new")
    assert set(table.new) == {"heads.jet_label", "conditioning.time"}
    theirs.add_time()
    table = load_partially(ours, theirs.state_dict(), heads="new")
    assert "conditioning.time" in table.loaded
    assert ours.conditioning is not None
    assert theirs.conditioning is not None
    for name, weight in theirs.conditioning.state_dict().items():
        assert torch.equal(ours.conditioning.state_dict()[name], weight), name


def test_another_architecture_is_refused() -> None:
    with pytest.raises(ModelError, match="another architecture"):
        load_partially(network(0, ("a", "b")), network(1, ("a", "b"), width=32).state_dict(), heads="new")


@pytest.mark.parametrize("name", list(BACKBONES))
def test_a_backbone_that_cannot_be_told_of_the_row_is_refused(name: str) -> None:
    """In silence the context would be dropped, and the recipe say that it was given."""
    size = {"size": "xs"} if getattr(BACKBONES.load(name), "sizes", {}) else {}
    backbone = resolve_component(BACKBONES, {"name": name, **size}, where="test")
    if "prefix" in backbone.cls.supports:
        build_network(backbone, feature_set("pet"), context=context_set("jet"))
        return
    with pytest.raises(IncompatibleError, match=r"data\.context=null, or choose one that can: transformer"):
        build_network(backbone, feature_set("pet"), context=context_set("jet"))
