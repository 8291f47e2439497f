"""Classification as a function of a hypothesis: one network for all masses of a resonance (1601.07913).

The hypothesis is a feature of the network's context. Rows of a signal have a value of their own; those of a
background have none, and are given one of the signal's values at random, anew in every step: else the value
would tell the class. Baldi et al. draw the values of background rows once from the distribution of the
signal's."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import pydantic
import torch

from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError, did_you_mean
from hepfm.core.schema import Schema
from hepfm.networks.network import Network
from hepfm.objectives.base import View
from hepfm.objectives.requirements import Requirements
from hepfm.objectives.supervised import Supervised, SupervisedConfig

VIEW = "parametrised"


class ParametrisedConfig(SupervisedConfig):
    """Options of `Parametrised`, beside those of `hepfm.objectives.supervised.SupervisedConfig`.

    Attributes
    ----------
    signal
        Classes of the label whose rows have a value of their own; those of all other classes are given one.
    values
        What they are given, with equal probabilities, in the unit of the feature: the values of the signal.
    parameter
        The feature of the network's context that is the hypothesis.
    """

    signal: Annotated[tuple[str, ...], pydantic.Field(min_length=1)]
    values: Annotated[tuple[float, ...], pydantic.Field(min_length=2)]
    parameter: str = "resonance_mass"

    @pydantic.model_validator(mode="after")
    def _check(self) -> ParametrisedConfig:
        if self.view != "clean":
            raise ValueError("rows are shown as they are but for the hypothesis: view is clean")
        if len(set(self.values)) < len(self.values):
            raise ValueError("values names one twice")
        return self


class Parametrised(Supervised):
    """Learn the classes of rows, given a value of the hypothesis."""

    Config = ParametrisedConfig
    lets_through = "everything of the row but the hypothesis of a background row, which is drawn"
    config: ParametrisedConfig

    def __init__(self, config: ParametrisedConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.view = VIEW
        self.signal = [self.field.classes.index(name) for name in config.signal]

    @classmethod
    def check(cls, config: SupervisedConfig, network: Network) -> None:
        """Refuse a network that is not told the hypothesis."""
        assert isinstance(config, ParametrisedConfig)
        known = network.context.names if network.context else ()
        if config.parameter not in known:
            raise IncompatibleError(
                f"objective 'parametrised': the network's context has no {config.parameter!r}"
                f"{did_you_mean(config.parameter, known)}; set data.context to a set that has it, e.g. "
                "resonance_mass"
            )

    @classmethod
    def requirements(cls, config: SupervisedConfig, schema: Schema) -> Requirements:
        """Return those of the supervised objective, with a view of its own."""
        assert isinstance(config, ParametrisedConfig)
        needed = super().requirements(config, schema)
        (field,) = (head.field for head in needed.heads.values())
        unknown = [name for name in config.signal if name not in field.classes]
        what = "no other class"
        if unknown:
            what = f"no {unknown[0]!r}{did_you_mean(unknown[0], field.classes)}"
        if unknown or not set(field.classes) - set(config.signal):
            raise IncompatibleError(
                f"objective 'parametrised': {field.name!r} has {what}; signal names some of its classes: "
                f"{', '.join(field.classes) or 'it has none'}"
            )
        return replace(needed, views=frozenset({VIEW}))

    def views(self, network: Network, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the batch with a drawn hypothesis for each row of a background."""
        assert network.context is not None
        assert batch.context_BC is not None
        column = network.context.names.index(self.config.parameter)
        values = batch.context_BC.new_tensor(self.config.values)
        drawn_B = draws.rows(batch.rows_B).uniform("parametrised.value", 1)[:, 0]
        index_B = (drawn_B * len(values)).long().clamp(max=len(values) - 1)
        label_B = batch.labels[self.field.name]
        own_B = torch.isin(label_B, label_B.new_tensor(self.signal))
        context_BC = batch.context_BC.clone()
        context_BC[:, column] = torch.where(own_B, context_BC[:, column], values[index_B])
        return {VIEW: View(replace(batch, context_BC=context_BC))}
