"""Vertex finding: binary cross-entropy of pairs of constituents, do they share a vertex? (2409.12589)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.core.config import Component, ComponentOf
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Field, Kind, Schema
from hepfm.heads import HEADS
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.loss import Loss, logged, mean
from hepfm.objectives.requirements import CLEAN, Requirements


class VerticesConfig(BaseConfig):
    """Options of `Vertices`.

    Attributes
    ----------
    label
        Field of the constituents with the number of their vertex; negative numbers stand for none.
    head
        Component spec of the head of pairs.
    focal_gamma
        Power of (1 - p), p the probability of the truth, that the loss of a pair is multiplied by
        (1708.02002); 3 in the public code of 2409.12589.
    same_weight
        Weight of pairs of one vertex, against 1 of the others: the "positive weight" of that code, 0.778.
    """

    label: str = "part_vertex"
    head: Annotated[Component, ComponentOf(HEADS, default="pairs")] = pydantic.Field(
        "pairs", validate_default=True
    )
    focal_gamma: float = pydantic.Field(3.0, ge=0.0)
    same_weight: float = pydantic.Field(0.778, gt=0.0)


class Vertices(Objective[VerticesConfig]):
    """Learn which constituents share a vertex; each pair counts with the weight of its row.

    Terms of the loss: ``pairs``; beside it ``pair_accuracy``.
    """

    Config = VerticesConfig
    lets_through = "everything of the row; the numbers of the vertices are not in it"

    def __init__(self, config: VerticesConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.field = _target(config, schema)

    @classmethod
    def requirements(cls, config: VerticesConfig, schema: Schema) -> Requirements:
        """Return a head of pairs; tokens must be the constituents."""
        field = _target(config, schema)
        if config.head.cls.level != "pair":
            raise IncompatibleError(
                f"objective 'vertices' needs a head of pairs, and {config.head.name!r} is one of "
                f"{config.head.cls.level}s; set head to pairs"
            )
        return Requirements(
            labels=(field.name,), heads={field.name: HeadSpec(config.head, field)}, signed_weights=True
        )

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of pairs (i, j), i < j, of constituents with a vertex, (B, N, N)."""
        batch = views[CLEAN].batch
        has_BN = batch.mask_BN & (batch.labels[self.field.name] >= 0)
        pairs_BNN = torch.triu(has_BN[:, :, None] & has_BN[:, None, :], diagonal=1)
        return {"pairs": pairs_BNN * row_weights(batch)[:, None, None]}

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the mean loss over pairs, weighted by the weights of their rows."""
        output = outputs[CLEAN]
        batch, vertex_BN = output.view.batch, output.view.batch.labels[self.field.name]
        logits_BNN: Tensor = network.heads[self.field.name](output.features, batch.mask_BN)
        same_BNN = vertex_BN[:, :, None] == vertex_BN[:, None, :]
        entropy_BNN = F.binary_cross_entropy_with_logits(
            logits_BNN, same_BNN.to(logits_BNN.dtype), reduction="none"
        )
        loss_BNN = entropy_BNN * torch.where(same_BNN, self.config.same_weight, 1.0)
        loss_BNN = loss_BNN * (1 - torch.exp(-entropy_BNN)) ** self.config.focal_gamma
        weights_BNN = self.weights({CLEAN: output.view})["pairs"]
        correct_BNN = ((logits_BNN > 0) == same_BNN).float()
        return Loss({"pairs": mean(loss_BNN, weights_BNN), "pair_accuracy": logged(correct_BNN, weights_BNN)})


def _target(config: VerticesConfig, schema: Schema) -> Field:
    if config.label not in schema:
        raise IncompatibleError(
            f"objective 'vertices' learns numbers of vertices, and these data have no {config.label!r}; "
            "simulate jets with truth: true, or set label"
        )
    field = schema[config.label]
    if field.level is schema.row or field.kind is not Kind.COUNT:
        raise IncompatibleError(
            f"objective 'vertices' learns numbers of vertices of constituents; {field.name!r} is "
            f"{field.kind} of the {field.level}"
        )
    return field
