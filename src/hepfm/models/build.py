"""Build networks from components."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from hepfm.core.config import Component
from hepfm.core.rng import integer_seed
from hepfm.data.features import FeatureSet
from hepfm.nn.standardize import Standardize
from hepfm.objectives.network import Network, Output


def build_network(backbone: Component, features: FeatureSet, *, outputs: Iterable[Output] = ()) -> Network:
    """Return a new network; its weights come from torch's present random state.

    Parameters
    ----------
    backbone
        The backbone's component.
    features
        The feature set that it reads.
    outputs
        Heads to add.
    """
    network = Network(
        Standardize(list(features.centre), list(features.scale)),
        backbone.cls(backbone.config, num_features=len(features)),
    )
    for output in outputs:
        network.add_head(output)
    return network


@contextmanager
def seeded_init(seed: int, purpose: str) -> Iterator[None]:
    """Draw weights from (seed, purpose) within the block; torch's random state is put back after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer_seed(seed, purpose))
        yield
