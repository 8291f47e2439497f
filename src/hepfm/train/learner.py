"""A network and the objective that trains it: what the loop, its optimizer and its checkpoints hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component
from hepfm.core.draws import Draws
from hepfm.core.schema import Schema
from hepfm.data.clustering import Subjets, subjets_of
from hepfm.networks.network import Network
from hepfm.objectives.base import Objective, View, apply
from hepfm.objectives.loss import Loss
from hepfm.objectives.requirements import Requirements
from hepfm.train.trainable import Trainable


class Learner(Trainable):
    """A network with its objective, one module for optimizers, processes and checkpoints.

    Parameters
    ----------
    network
        What is trained, and all that a model directory keeps.
    objective
        How; it holds no network itself.
    requirements
        What the objective needs. A tokenizer that it does not train is frozen.
    """

    network: Network

    def __init__(self, network: Network, objective: Objective[Any], requirements: Requirements) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self.requirements = requirements
        if network.tokenizer is not None and requirements.tokenizer is None:
            network.tokenizer.freeze()

    @property
    def learners(self) -> tuple[Learner, ...]:
        """Itself alone."""
        return (self,)

    @property
    def random_parts(self) -> bool:
        """Whether the parts of a step must be random draws, not rows of similar length."""
        return self.objective.random_parts(self.network)

    @property
    def subjets(self) -> Subjets | None:
        """What makes the subjets that network and objective need of batches; None where they need none."""
        return subjets_of(tuple(dict.fromkeys((*self.network.clusterings, *self.requirements.clusterings))))

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Let the objective fit its constants, or fill its teacher; see `Objective.prepare`."""
        self.objective.prepare(self.network, batches)

    def views(self, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return what the network is to be shown of a batch."""
        return self.objective.views(self.network, batch, draws)

    def forward(self, views: Mapping[str, View], draws: Draws) -> Loss:
        """Show the network the views and return the loss; random draws come only from `draws`."""
        outputs = {name: apply(self.network, view) for name, view in views.items()}
        return self.objective.loss(self.network, outputs, draws)

    def counts(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the count of each term that is minimised, as the loss will have it."""
        return self.objective.counts(views)

    def rows(self, batch: Batch) -> list[int]:
        """Return the numbers of the rows in their store."""
        rows: list[int] = batch.rows_B.tolist()
        return rows


def make_learner(objective: Component, network: Network, schema: Schema) -> Learner:
    """Fit a network out with what an objective needs, and return both; new weights are torch's random draw.

    Raises
    ------
    IncompatibleError
        When data or network do not have what the objective needs.
    """
    requirements: Requirements = objective.cls.requirements(objective.config, schema)
    objective.cls.check(objective.config, network)
    network.equip(
        heads=requirements.heads.values(), tokenizer=requirements.tokenizer, generator=requirements.generator
    )
    return Learner(network, objective.cls(objective.config, network, schema), requirements)
