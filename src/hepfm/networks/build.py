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
from hepfm.networks.specs import GeneratorSpec, HeadSpec, Inputs, TokenizerSpec
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
    embedding: Component | None = None,
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
    embedding
        What takes the place of the backbone's own embedding; None for that one.
    grouping
        What makes the backbone's tokens of constituents; None for constituents as they are.
    heads, tokenizer, generator
        What to add to the backbone.

    Raises
    ------
    IncompatibleError
        When the backbone cannot read tokens, be conditioned on the whole row, or be given another embedding,
        although it should.
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
    if embedding and embedding.cls.embeds:
        check_embedding(backbone, embedding, tokenizer.inputs if tokenizer else "features")
        network.add_embedding(embedding)
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


def check_embedding(backbone: Component, embedding: Component, inputs: Inputs = "features") -> None:
    """Raise `IncompatibleError` for an embedding that the backbone cannot be given, or that has no numbers.

    Parameters
    ----------
    backbone, embedding
        The components.
    inputs
        What the backbone is given of a constituent.
    """
    if "embedding" not in backbone.cls.supports:
        raise IncompatibleError(
            f"backbone {backbone.name!r} cannot be given the embedding {embedding.name!r}; set "
            f"embedding=ordinary, or choose one that can: {', '.join(_supporting('embedding'))}"
        )
    if inputs != "features":
        raise IncompatibleError(
            f"embedding {embedding.name!r} makes vectors of the numbers of constituents, and this network "
            f"reads {inputs} of its tokenizer; set embedding=ordinary, or tokenizer.inputs=features"
        )


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
