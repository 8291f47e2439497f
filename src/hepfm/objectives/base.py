"""The contract of an objective: it owns a network and says how its weights are trained."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hepfm.core.batch import Batch
from hepfm.core.config import Config as BaseConfig
from hepfm.core.schema import Schema
from hepfm.objectives.network import Network


@dataclass(frozen=True)
class Loss:
    """The scalar to minimise, and its named parts (detached scalars) for the log."""

    total: Tensor
    parts: Mapping[str, Tensor]


class Objective(nn.Module):
    """How weights are trained. Subclasses are built by ``cls(config, network, schema)``.

    `network` holds all that the model directory keeps. An objective adds its own heads to it in its
    constructor (``network.heads[...]``), and may own further modules (an EMA teacher, a predictor) that
    live in checkpoints only.
    """

    Config: ClassVar[type[BaseConfig]]
    needs: ClassVar[frozenset[str]] = frozenset()
    """Of ``{"labels", "p4"}`` and of what backbones support; checked before anything is built."""

    def __init__(self, config: BaseConfig, network: Network, schema: Schema) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.schema = schema

    @classmethod
    def targets(cls, config: BaseConfig, schema: Schema) -> tuple[str, ...]:
        """Return the label fields that the loss reads; raise `IncompatibleError` when the data lack them."""
        return ()

    @abstractmethod
    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> Loss:
        """Return the loss of a batch; random draws come only from `generator` (None in evaluation)."""

    def after_step(self, step: int) -> None:
        """Do what follows an optimiser step, e.g. move an EMA teacher. Nothing by default."""
