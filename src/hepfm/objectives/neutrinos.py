"""Neutrinos: diffusion of neutrino and antineutrino of an event, given its reconstructed objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component, ComponentOf
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import DataError, IncompatibleError
from hepfm.core.schema import Schema
from hepfm.data import target_set
from hepfm.heads import HEADS
from hepfm.heads.neutrinos import NeutrinosHead
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec
from hepfm.nn.cosine_schedule import noised
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.loss import Loss, logged, mean
from hepfm.objectives.requirements import CLEAN, Requirements

_NAME = "event_neutrinos"


class NeutrinosConfig(BaseConfig):
    """Options of `Neutrinos`.

    Attributes
    ----------
    head
        Component spec of the head.
    presence_weight
        Weight of the cross-entropy of whether there is a neutrino, and an antineutrino.
    """

    head: Annotated[Component, ComponentOf(HEADS, default="neutrinos")] = pydantic.Field(
        "neutrinos", validate_default=True
    )
    presence_weight: float = pydantic.Field(1.0, ge=0.0)


class Neutrinos(Objective[NeutrinosConfig]):
    """Learn the distribution of the neutrinos of the hard process, by diffusion (2601.17126).

    The network is shown reconstructed objects alone. Coordinates x of a neutrino are noised to a time t ~
    U(0, 1) of the event, and the head is asked for ``v = alpha eps - sigma x``; see
    `hepfm.nn.cosine_schedule`. Events with several neutrinos of one kind do not count.

    Terms of the loss: ``v``, averaged over coordinates and neutrinos, and ``presence``; beside them
    ``presence_accuracy``.
    """

    Config: ClassVar[type[BaseConfig]] = NeutrinosConfig
    lets_through = "all that was reconstructed of the event, and nothing of the generator's record"

    @classmethod
    def check(cls, config: NeutrinosConfig, network: Network) -> None:
        """Refuse features of the generator's objects, neutrinos among them."""
        if "is_generator" in network.feature_names:
            raise IncompatibleError(
                f"objective 'neutrinos': the feature set {network.feature_set.name!r} shows the generator's "
                "objects, the neutrinos among them; set data.features=event"
            )

    @classmethod
    def requirements(cls, config: NeutrinosConfig, schema: Schema) -> Requirements:
        """Return the head and the target set."""
        targets = target_set(_NAME)
        missing = targets.missing(schema)
        if missing:
            raise IncompatibleError(
                f"objective 'neutrinos' learns the neutrinos of the hard process, and these data have no "
                f"{', '.join(missing)}; simulate events with truth"
            )
        if config.head.cls.level != "solutions":
            raise IncompatibleError(
                f"objective 'neutrinos' needs a head of solutions, and {config.head.name!r} is one of "
                f"{config.head.cls.level}s; set head to neutrinos"
            )
        return Requirements(
            targets=(targets,),
            heads={targets.name: HeadSpec(config.head, targets.field)},
            signed_weights=True,
        )

    def prepare(self, network: Network, batches: Iterable[Batch]) -> None:
        """Measure centre and spread of the neutrinos; raise `DataError` where no event has any."""
        parts = [values[values[..., 0] == 1, 1:] for values in (batch.targets[_NAME] for batch in batches)]
        momenta = torch.cat(parts) if parts else torch.zeros(0, 3)
        if not len(momenta):
            raise DataError(
                "objective 'neutrinos': none of the training events that were looked at has a neutrino in "
                "its hard process (or all have several of one kind); train on processes with a W, or a Z to "
                "neutrinos"
            )
        _head(network).fit(momenta)

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the neutrinos, (B, 2), and of events and kinds, (B, 2)."""
        batch = views[CLEAN].batch
        there_BM = batch.targets[_NAME][..., 0]
        weights_B1 = row_weights(batch)[:, None]
        known_BM = ~there_BM.isnan()
        found = {"v": weights_B1 * (known_BM & (there_BM == 1))}
        if self.config.presence_weight:
            found["presence"] = weights_B1 * known_BM
        return found

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the error of v and the cross-entropy of presence."""
        output, head = outputs[CLEAN], _head(network)
        batch, weights = output.view.batch, self.weights({CLEAN: output.view})
        target = batch.targets[_NAME].nan_to_num()
        x_BMK = head.standardised(target[..., 1:])
        row = draws.rows(batch.rows_B)
        time_B = row.uniform("neutrinos.time").to(x_BMK.dtype)
        noise_BMK = row.normal("neutrinos.noise", *x_BMK.shape[1:]).to(x_BMK.dtype)
        z_BMK, v_BMK = noised(x_BMK, noise_BMK, time_B[:, None, None])
        memory = head.memory(output.features, batch.mask_BN)
        predicted = head.predict(memory, z_BMK[:, None], time_B[:, None])[:, 0]
        terms = {"v": mean((predicted - v_BMK).square().mean(-1), weights["v"])}
        if self.config.presence_weight:
            logits_BM, there_BM = head.likelihood(output.features, batch.mask_BN), target[..., 0]
            entropy_BM = F.binary_cross_entropy_with_logits(logits_BM, there_BM, reduction="none")
            terms["presence"] = mean(entropy_BM, weights["presence"], weight=self.config.presence_weight)
            right_BM = ((logits_BM > 0) == (there_BM == 1)).float()
            terms["presence_accuracy"] = logged(right_BM, weights["presence"])
        return Loss(terms)


def _head(network: Network) -> NeutrinosHead:
    head = network.heads[_NAME]
    assert isinstance(head, NeutrinosHead)
    return head
