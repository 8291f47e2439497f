"""Nearest neighbours: classes of the labelled rows whose summaries by the fixed backbone are most alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pydantic
import torch

from hepfm.backbones.base import Features
from hepfm.core.config import Config, resolve_component
from hepfm.core.ragged import Array
from hepfm.heads import HEADS
from hepfm.heads.knn import NearestNeighbours, NearestNeighboursConfig
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec
from hepfm.train.fitted_head import FittedHead, Labelled


class KnnConfig(Config):
    """Options of `Knn`.

    Attributes
    ----------
    neighbours
        Numbers of neighbours to try; the one with the smallest loss on the validation part of the label
        budget is kept. Without a validation part the first is used.
    temperature
        Of the votes ``exp(cosine similarity / temperature)``; 0.07 in 1805.01978.
    """

    neighbours: tuple[pydantic.PositiveInt, ...] = pydantic.Field((20, 5, 50, 100), min_length=1)
    temperature: pydantic.PositiveFloat = 0.07


class Knn(FittedHead):
    """Put a head of nearest neighbours, filled with the labelled rows, on a fixed backbone.

    Nothing is trained. The head takes the place of the recipe's.
    """

    Config = KnnConfig
    name = "knn"
    setting = "neighbours"

    def __init__(self, config: KnnConfig) -> None:
        super().__init__(config)
        self.config: KnnConfig = config

    @property
    def settings(self) -> Sequence[float]:
        """The numbers of neighbours to try."""
        return self.config.neighbours

    def fit(self, train: Labelled, num_classes: int, setting: float) -> NearestNeighbours:
        """Return a head whose bank holds the rows."""
        config = NearestNeighboursConfig(
            rows=len(train.label_R), neighbours=int(setting), temperature=self.config.temperature
        )
        head = NearestNeighbours(config, width=train.features_RD.shape[1], num_outputs=num_classes)
        weight_R = None if train.weight_R is None else torch.from_numpy(train.weight_R).float()
        head.fill(torch.from_numpy(train.features_RD), torch.from_numpy(train.label_R), weight_R)
        return head

    @torch.no_grad()
    def logits(self, fitted: NearestNeighbours, features_RD: Array) -> Array:
        """Return logarithms of the fractions of votes, (R, K)."""
        row_RD = torch.from_numpy(features_RD)
        features = Features(row_RD[:, None], row_RD)
        logits_RK: Array = fitted(features, torch.ones(len(row_RD), 1, dtype=torch.bool)).numpy()
        return logits_RK

    def keep(self, network: Network, spec: HeadSpec, fitted: NearestNeighbours) -> None:
        """Put the filled head in the place of the recipe's."""
        options = {"name": "knn", **fitted.config.model_dump(mode="json")}
        component = resolve_component(HEADS, options, where="mode knn")
        network.add_head(replace(spec, head=component))
        network.heads[spec.field.name].load_state_dict(fitted.state_dict())
