"""The contract of a choice of the constituents that are hidden."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Config
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.data.clustering import Clustering
from hepfm.data.feature_names import AXES
from hepfm.networks.network import Network

ConfigT = TypeVar("ConfigT", bound=Config)


class HiddenChoice(ABC, Generic[ConfigT]):
    """Which constituents of a row are hidden; at least one is left. Subclasses are built by ``cls(config)``.

    Parameters
    ----------
    config
        Options.
    """

    Config: ClassVar[type[Config]]
    inputs: ClassVar[frozenset[str]] = frozenset()
    """What batches must hold, of ``{"p4"}``."""

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    @classmethod
    def clusterings(cls, config: ConfigT) -> Sequence[Clustering]:
        """Return the subjets that batches must have; none by default."""
        return ()

    @classmethod
    def check(cls, network: Network) -> None:
        """Raise `IncompatibleError` for a network whose features do not say what the choice goes by."""

    @abstractmethod
    def hidden(
        self, batch: Batch, fraction_B: Tensor, number_B: Tensor, network: Network, draws: Draws, name: str
    ) -> Tensor:
        """Return which constituents are hidden, boolean (B, N).

        Parameters
        ----------
        batch
            The rows.
        fraction_B
            The fraction of each row that is to be hidden.
        number_B
            The same as a number of constituents, int64; smaller than the row, but for empty ones.
        network
            Which is to be trained; it knows the names of the features.
        draws, name
            Random numbers, and the name of what they are for.
        """


class GeometricChoice(HiddenChoice[ConfigT]):
    """A choice by distances in eta and phi."""

    @classmethod
    def check(cls, network: Network) -> None:
        """Refuse features without directions."""
        if not set(AXES) <= set(network.feature_names):
            raise IncompatibleError(
                f"objective.choose goes by directions, and the features have no {' and '.join(AXES)}; set "
                "choose=random, or another data.features"
            )

    @staticmethod
    def distance(batch: Batch, network: Network, draws: Draws, name: str) -> Tensor:
        """Return the distance of each constituent from a random one of its row, (B, N); padding is far."""
        axes = [network.feature_names.index(axis) for axis in AXES]
        place_BN2 = batch.features_BNF[..., axes]
        seed_B = (draws.rows(batch.rows_B).uniform(f"{name}.seed") * batch.mask_BN.sum(1)).long()
        # Constituents stand in front of the padding, so that a number is a place.
        seed_B12 = place_BN2.gather(1, seed_B[:, None, None].expand(-1, 1, 2))
        return (place_BN2 - seed_B12).norm(dim=-1).masked_fill(~batch.mask_BN, torch.inf)


def nearest(distance_BN: Tensor, number_B: Tensor) -> Tensor:
    """Return the given number of entries of each row that are the smallest, boolean (B, N)."""
    rank_BN = distance_BN.argsort(dim=1, stable=True).argsort(dim=1)
    return rank_BN < number_B[:, None]
