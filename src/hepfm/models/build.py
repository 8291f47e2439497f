"""Build networks from components."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from hepfm.core.config import Component
from hepfm.core.rng import integer_seed
from hepfm.data.context import ContextSet
from hepfm.data.features import FeatureSet
from hepfm.nn.feature_dropout import FeatureDropout
from hepfm.nn.standardize import Standardize
from hepfm.objectives.network import Network, Output, Source


def build_network(
    backbone: Component,
    features: FeatureSet,
    *,
    context: ContextSet | None = None,
    feature_dropout: float = 0.0,
    outputs: Iterable[Output] = (),
    source: Source | None = None,
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
    """
    network = Network(
        Standardize(list(features.centre), list(features.scale)),
        backbone.cls(backbone.config, feature_names=features.names),
        feature_names=features.names,
        num_context=len(context) if context else 0,
    )
    network.feature_dropout = FeatureDropout(features.groups, feature_dropout)
    for output in outputs:
        network.add_head(output)
    if source:
        network.add_generator(source)
    return network


@contextmanager
def seeded_init(seed: int, purpose: str) -> Iterator[None]:
    """Draw weights from (seed, purpose) within the block; torch's random state is put back after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer_seed(seed, purpose))
        yield
