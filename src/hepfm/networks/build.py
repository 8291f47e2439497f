"""Build networks from components."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from hepfm.backbones import BACKBONES
from hepfm.backbones.base import Backbone
from hepfm.core.config import Component
from hepfm.core.errors import IncompatibleError
from hepfm.core.rng import integer_seed
from hepfm.data.context import ContextSet
from hepfm.data.features import FeatureSet
from hepfm.networks.network import Network
from hepfm.networks.specs import GeneratorSpec, HeadSpec, TokenizerSpec
from hepfm.nn.feature_dropout import FeatureDropout
from hepfm.nn.standardize import LIMIT, Standardize
from hepfm.tokenizers.base import Tokenizer


def build_network(
    backbone: Component,
    features: FeatureSet,
    *,
    context: ContextSet | None = None,
    feature_dropout: float = 0.0,
    heads: Iterable[HeadSpec] = (),
    grouping: Component | None = None,
    tokenizer: TokenizerSpec | None = None,
    generator: GeneratorSpec | None = None,
) -> Network:
    """Return a new network; its initial weights come from torch's current random state.

    Parameters
    ----------
    backbone
        The backbone's component.
    features
        The feature set that it reads.
    context
        Features of the whole row that the backbone is conditioned on.
    feature_dropout
        Probability with which a group of features is dropped for a row in training.
    grouping
        What makes the backbone's tokens of constituents; None for constituents as they are.
    heads, tokenizer, generator
        What to add to the backbone.

    Raises
    ------
    IncompatibleError
        When the backbone cannot read tokens, or cannot be conditioned on the whole row, although it should.
    """
    if context is not None and "prefix" not in backbone.cls.supports:
        raise IncompatibleError(
            f"backbone {backbone.name!r} cannot be conditioned on {context.name!r} of each row; set "
            f"data.context=null, or choose one that can: {', '.join(_supporting('prefix'))}"
        )
    new_tokenizer = tokenizer.build(features.names) if tokenizer else None
    network = Network(
        Standardize(list(features.centre), list(features.scale), features.limit or LIMIT),
        _build_backbone(
            backbone, features, new_tokenizer if tokenizer and tokenizer.inputs == "codes" else None
        ),
        feature_set=features,
        context=context,
    )
    network.feature_dropout = FeatureDropout(features.droppable, feature_dropout)
    if grouping and grouping.cls.groups:
        if tokenizer:
            raise IncompatibleError(
                f"grouping {grouping.name!r} makes tokens of the constituents' own features, not of codes; "
                "leave tokenizer out, or set grouping=particles"
            )
        network.add_grouping(grouping)
    if tokenizer:
        network.add_tokenizer(tokenizer, new_tokenizer)
    network.equip(heads=heads, generator=generator)
    return network


def _supporting(what: str) -> list[str]:
    return [name for name in BACKBONES if what in BACKBONES.load(name).supports]


def _build_backbone(backbone: Component, features: FeatureSet, tokenizer: Tokenizer | None) -> Backbone:
    if tokenizer is None:
        reads_features: Backbone = backbone.cls(backbone.config, feature_names=features.names)
        return reads_features
    if "codes" not in backbone.cls.supports:
        raise IncompatibleError(
            f"backbone {backbone.name!r} cannot read tokens; set tokenizer.inputs=decoded, or choose one "
            f"that can: {', '.join(_supporting('codes'))}"
        )
    reads_tokens: Backbone = backbone.cls(
        backbone.config, feature_names=features.names, num_codes=tokenizer.num_codes
    )
    return reads_tokens


@contextmanager
def seeded_init(seed: int, purpose: str) -> Iterator[None]:
    """Draw weights from (seed, purpose) within the block; torch's random state is restored after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer_seed(seed, purpose))
        yield
