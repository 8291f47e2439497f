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
from hepfm.networks.network import Codes, Network, Output, Source
from hepfm.nn.feature_dropout import FeatureDropout
from hepfm.nn.standardize import Standardize
from hepfm.tokenizers.base import Tokenizer


def build_network(
    backbone: Component,
    features: FeatureSet,
    *,
    context: ContextSet | None = None,
    feature_dropout: float = 0.0,
    outputs: Iterable[Output] = (),
    source: Source | None = None,
    codes: Codes | None = None,
) -> Network:
    """Return a new network; its weights come from torch's present random state.

    Parameters
    ----------
    backbone
        The backbone's component.
    features
        The feature set that it reads.
    context
        What the backbone is told of the whole row.
    feature_dropout
        Probability with which a group of features is dropped for a row in training.
    outputs
        Heads to add.
    source
        Generator to add.
    codes
        Tokenizer to add.

    Raises
    ------
    IncompatibleError
        When the backbone is to read codes and cannot, or is to be told of the whole row and cannot.
    """
    if context is not None and "condition" not in backbone.cls.supports:
        raise IncompatibleError(
            f"backbone {backbone.name!r} cannot be told {context.name!r} of each row; set data.context=null, "
            f"or take one that can: {', '.join(_conditioned())}"
        )
    tokenizer = codes.build(features.names) if codes else None
    network = Network(
        Standardize(list(features.centre), list(features.scale)),
        _build_backbone(backbone, features, tokenizer if codes and codes.reads == "codes" else None),
        feature_names=features.names,
        context=context,
    )
    network.feature_dropout = FeatureDropout(features.groups, feature_dropout)
    if codes:
        network.add_tokenizer(codes, tokenizer)
    for output in outputs:
        network.add_head(output)
    if source:
        network.add_generator(source)
    return network


def _conditioned() -> list[str]:
    return [name for name in BACKBONES if "condition" in BACKBONES.load(name).supports]


def _build_backbone(backbone: Component, features: FeatureSet, tokenizer: Tokenizer | None) -> Backbone:
    if tokenizer is None:
        plain: Backbone = backbone.cls(backbone.config, feature_names=features.names)
        return plain
    if "codes" not in backbone.cls.supports:
        raise IncompatibleError(
            f"backbone {backbone.name!r} cannot read codes; set tokenizer.reads=decoded, or take one that "
            "can: transformer, post_norm_transformer"
        )
    of_codes: Backbone = backbone.cls(
        backbone.config, feature_names=features.names, num_codes=tokenizer.num_codes
    )
    return of_codes


@contextmanager
def seeded_init(seed: int, purpose: str) -> Iterator[None]:
    """Draw weights from (seed, purpose) within the block; torch's random state is put back after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer_seed(seed, purpose))
        yield
