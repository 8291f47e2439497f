"""Models for the tests of export: small ones, which together pair every component of the registries.

A case is a backbone, a context, a way of reading and some heads. The cases of a backbone hold each context,
each way of reading and each head that fit it, and all cases together decode each tokenizer: what is decoded
was encoded before, so that both halves are in the file. An export takes seconds, nearly all in the tracer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
import torch

from hepfm.backbones import BACKBONES
from hepfm.core.config import Component, resolve_component
from hepfm.core.errors import IncompatibleError
from hepfm.core.registry import Registry
from hepfm.core.schema import Field, Schema
from hepfm.data import context_set, feature_set
from hepfm.data.schemas.jets import jet_schema
from hepfm.heads import HEADS
from hepfm.models import export as export_module
from hepfm.models.directory import Model
from hepfm.models.fixture import random_batch
from hepfm.models.graphs.capture import capture
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec, Inputs, TokenizerSpec
from hepfm.tokenizers import TOKENIZERS

FEATURES = "pet"
LIMIT = 9
"""Most constituents of a row."""

_CODEBOOK: dict[str, Any] = {"codes": 16, "width": 8, "depth": 1, "kmeans_start": False}
_SMALL: dict[str, dict[str, Any]] = {
    "transformer": {"width": 16, "depth": 1, "num_heads": 2},
    "post_norm_transformer": {"width": 16, "depth": 1, "num_heads": 2},
    "particle_transformer": {
        "width": 16,
        "depth": 1,
        "class_depth": 1,
        "num_heads": 2,
        "embed_widths": [16],
        "pair_widths": [8],
    },
    "pet": {"width": 16, "depth": 1, "local_depth": 1, "num_heads": 2, "num_neighbours": 3},
    "lgatr": {"width": 16, "depth": 1, "num_heads": 2, "multivectors": 4},
    "lgatr_slim": {"width": 16, "depth": 1, "num_heads": 2, "vector_channels": 4},
    "class_attention": {"num_heads": 2, "num_blocks": 1},
    "class_token": {"num_heads": 2, "num_blocks": 1},
    **{name: {**_CODEBOOK, "num_heads": 2} for name in ("vqvae", "vqvae_transformer", "vqvae_cosine")},
    "vqvae_mlp": _CODEBOOK,
    "fsq": {"levels": [3, 3], "width": 8, "depth": 1, "num_heads": 2},
    "kmeans": {"codes": 16},
    "binned": {"bins": [3, 3, 3, 2]},
}
"""Options of the components; a new one has its size xs, or its defaults."""


def component(registry: Registry, name: str) -> Component:
    """Return a small component."""
    sizes = getattr(registry.load(name), "sizes", {})
    options = _SMALL.get(name, {"size": "xs"} if "xs" in sizes else {})
    return resolve_component(registry, {"name": name, **options}, where="test")


@dataclass(frozen=True)
class Case:
    """What a model is made of."""

    backbone: str
    context: str | None
    inputs: Inputs
    tokenizer: str | None
    heads: tuple[str, ...]

    def __str__(self) -> str:
        parts = (self.backbone, self.context, self.inputs, self.tokenizer, *self.heads)
        return "-".join(part for part in parts if part)

    def build(self, *, seed: int = 0, absent: tuple[str, ...] = (), features: str = FEATURES) -> Model:
        """Return a model with random weights."""
        schema, outputs = _schema(self.heads)
        backbone, chosen = component(BACKBONES, self.backbone), feature_set(features)
        context = context_set(self.context) if self.context else None
        codes = TokenizerSpec(component(TOKENIZERS, self.tokenizer), self.inputs) if self.tokenizer else None
        with seeded_init(seed, "test"):
            network = build_network(backbone, chosen, context=context, heads=outputs, tokenizer=codes)
        _fit(network, features)
        return Model(
            network.eval(), backbone, chosen, schema, max_constituents=LIMIT, context=context, absent=absent
        )


def _fit(network: Network, features: str) -> None:
    """Give a tokenizer and the rows' standardisation constants that are not the plain ones."""
    batch = random_batch(feature_set(features), seed=7)
    if network.tokenizer is not None:
        x_BNF = network.standardize(batch.features_BNF, batch.mask_BN)
        network.tokenizer.eval().fit([(x_BNF, batch.mask_BN)])
    if network.conditioning is not None and network.conditioning.standardize is not None:
        network.conditioning.standardize.centre_F += 0.5
        network.conditioning.standardize.scale_F *= 0.3


def _schema(heads: tuple[str, ...]) -> tuple[Schema, list[HeadSpec]]:
    """Return a schema with a field for each head, and the heads."""
    base = jet_schema(("QCD", "Tbqq", "Hbb"))
    fields = {name: _field(base, name) for name in heads}
    extra = tuple(field for field in fields.values() if field.name not in base)
    schema = jet_schema(("QCD", "Tbqq", "Hbb"), extra=extra)
    return schema, [HeadSpec(component(HEADS, name), schema[field.name]) for name, field in fields.items()]


def _field(schema: Schema, head: str) -> Field:
    if hasattr(HEADS.load(head), "scale_K") or "scale_K" in HEADS.load(head).__annotations__:
        return schema["jet_softdrop_mass"]
    return replace(schema["jet_label"], name=f"label_of_{head}")


@cache
def fits(backbone: str, head: str) -> bool:
    """Tell whether a head of rows can be put on a backbone."""
    if HEADS.load(head).level != "row":
        return False
    try:
        network = Case(backbone, None, "features", None, (head,)).build().network
        with torch.no_grad():
            network(random_batch(feature_set(FEATURES)))
    except IncompatibleError:
        return False
    return True


def ways(backbone: str) -> list[Inputs]:
    """Return what a backbone can be given of a constituent."""
    supports = BACKBONES.load(backbone).supports
    if not BACKBONES.load(backbone).encodes:
        return ["features"]
    return ["features", "decoded", *(("codes",) if "codes" in supports else ())]  # type: ignore[list-item]


def contexts(backbone: str) -> list[str | None]:
    """Return what a backbone can be conditioned on: nothing, and the jet's kinematics if it has a prefix."""
    return [None, "jet"] if "prefix" in BACKBONES.load(backbone).supports else [None]


def heads_of(backbone: str) -> list[str]:
    """Return the heads that fit a backbone."""
    return [head for head in HEADS if fits(backbone, head)]


COARSE = ("kmeans", "binned")
"""Tokenizers that put constituents onto few places: many distances between them are then equal, and rounding
decides which neighbour is the nearer. Networks of distances differ there by more than rounding; an export
refuses these with a message."""


def pairs(backbone: str) -> bool:
    """Tell whether a backbone looks at distances between constituents."""
    return backbone in ("particle_transformer", "pet", "edge_conv", "particlenet")


def capture_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all files of a part be written from what is captured for the first: most of the time of a test."""
    kept: dict[str, Any] = {}

    def once(graph: Any) -> Any:
        part = graph.words["part"]
        if part not in kept:
            kept[part] = capture(graph)
        return kept[part]

    monkeypatch.setattr(export_module, "capture", once)


def cases() -> Iterator[Case]:
    """Yield the cases: each backbone with each way of reading, each tokenizer with each way of being read."""
    turn: dict[str, Iterator[str]] = {way: itertools.cycle(TOKENIZERS) for way in ("decoded", "codes")}
    left = {(name, way): None for name in TOKENIZERS for way in turn}
    for backbone in BACKBONES:
        readings, told, heads = ways(backbone), contexts(backbone), heads_of(backbone)
        for number, way in enumerate(readings):
            fit = (
                (name for name in turn[way] if name not in COARSE or not pairs(backbone))
                if way in turn
                else ()
            )
            tokenizer = next(iter(fit), None)
            left.pop((tokenizer or "", way), None)
            own = tuple(heads[number :: len(readings)])
            yield Case(backbone, told[number % len(told)], way, tokenizer, own)
    for tokenizer, way in left:
        yield Case("post_norm_transformer", None, way, tokenizer, ("classify",))  # type: ignore[arg-type]
