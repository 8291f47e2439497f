"""Flow matching: learn the velocity that carries noise to constituents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

import pydantic
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component, ComponentOf
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Field, Schema
from hepfm.data import invertible_sets
from hepfm.generators import GENERATORS
from hepfm.generators.flow import Flow
from hepfm.networks.network import Network
from hepfm.networks.specs import GeneratorSpec
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.generation import check_length, conditioning_classes, conditioning_field
from hepfm.objectives.loss import Loss, mean
from hepfm.objectives.requirements import Requirements
from hepfm.objectives.selection import constituent_mean

NOISED = "noised"
"""Name of the view that is a noised copy."""

FOUR = 4.0
"""Factor of the mean over features. OmniLearned (2510.24066) sums over its four; a sum over those of any set
would weigh generation by their number beside classification."""

_Weight = Annotated[float, pydantic.Field(ge=0)]


class FlowMatchingConfig(BaseConfig):
    """Options of `FlowMatching`.

    Attributes
    ----------
    generator
        Component spec of the generator, whose weights the objective trains with those of the backbone.
    label
        The categorical field that the generator is conditioned on; None means the label that the store's
        schema names, and no class for data without labels.
    label_dropout
        Probability per row of training with which the class is hidden, so that rows of no given class can
        be made too; 0.1 in OmniLearn (2404.16091, public code).
    max_constituents
        Most constituents of a row that is made; not below ``data.max_constituents``.
    multiplicity_weight, jet_weight
        Weights of the losses of the number of constituents and of the row's kinematics. They train networks
        of their own.
    """

    generator: Annotated[Component, ComponentOf(GENERATORS, default="flow")] = pydantic.Field(
        "flow", validate_default=True
    )
    label: str | None = None
    label_dropout: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.1
    max_constituents: pydantic.PositiveInt = 150
    multiplicity_weight: _Weight = 1.0
    jet_weight: _Weight = 1.0

    @pydantic.model_validator(mode="after")
    def _check(self) -> FlowMatchingConfig:
        if not issubclass(self.generator.cls, Flow):
            raise ValueError(
                f"generator: flow_matching trains 'flow' or a kind of it, not {self.generator.name!r}"
            )
        return self


class FlowMatching(Objective[FlowMatchingConfig]):
    """Noise each row to a random time and learn the velocity (2210.02747; for jets 2310.00049, 2510.24066).

    With standardised features x, noise eps ~ N(0, 1) and t ~ U(0, 1) per row, the network sees
    ``z = (1 - t) x + t eps`` and the generator's head is asked for ``eps - x``. The squared error is averaged
    over features (times four, see `FOUR`) and over the constituents of each row, then over rows.

    Terms of the loss: ``velocity``, ``multiplicity`` (cross-entropy of the number of constituents) and, for a
    network that is conditioned on the row's kinematics, ``jet`` (the same squared error for these).
    """

    Config: ClassVar[type[BaseConfig]] = FlowMatchingConfig
    lets_through = (
        "of a noised row its number of constituents, their order in pt before the noise, the time, and the "
        "context, which generation is conditioned on"
    )

    def __init__(self, config: FlowMatchingConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.field = _label(config, schema)
        self.samples_kinematics = _flow(network).sampler.num_jet > 0

    @classmethod
    def check(cls, config: FlowMatchingConfig, network: Network) -> None:
        """Refuse features that follow from others: noised one by one they would contradict each other."""
        if not network.feature_set.invertible:
            raise IncompatibleError(
                f"objective 'flow_matching' makes every feature by itself, and some of "
                f"{network.feature_set.name!r} "
                "follow from others; set data.features to one of independent columns: "
                f"{', '.join(invertible_sets())}"
            )

    @classmethod
    def requirements(cls, config: FlowMatchingConfig, schema: Schema) -> Requirements:
        """Return the generator, and the field of the class, if the data have one."""
        field = _label(config, schema)
        return Requirements(
            labels=(field.name,) if field else (),
            generator=GeneratorSpec(config.generator, field, config.max_constituents),
            backbone=frozenset({"prefix"}),
            signed_weights=True,
            views=frozenset({NOISED}),
        )

    def prepare(self, network: Network, batches: Iterable[Batch]) -> None:
        """Measure the largest number of constituents and the spread of the row's kinematics."""
        _flow(network).sampler.fit((_count(batch), batch.context_BC) for batch in batches)

    def views(self, network: Network, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the noised copy; its `extra` holds the velocity, its weight is (1 - t)^2."""
        check_length(batch, _flow(network).max_constituents)
        x_BNF = network.standardize(batch.features_BNF, batch.mask_BN)
        row = draws.rows(batch.rows_B)
        time_B = row.uniform("flow.time")
        noise_BNF = row.normal("flow.noise", *x_BNF.shape[1:]) * batch.mask_BN[..., None]
        velocity_BNF = noise_BNF - x_BNF
        noised_BNF = x_BNF + time_B[:, None, None] * velocity_BNF
        noised = replace(
            network.physical(noised_BNF, batch.mask_BN, batch.context_BC),
            rows_B=batch.rows_B,
            labels=batch.labels,
            weights_B=batch.weights_B,
        )
        return {NOISED: View(noised, time_B, (1 - time_B).square(), {"velocity": velocity_BNF})}

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows."""
        weights_B = row_weights(views[NOISED].batch)
        names = ["velocity", "multiplicity", *(["jet"] if self.samples_kinematics else [])]
        return dict.fromkeys(names, weights_B)

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the error of the velocity and the losses of the row's own sampler."""
        view, flow = outputs[NOISED].view, _flow(network)
        batch = view.batch
        label_B, weights_B = self._classes(batch, draws), row_weights(view.batch)
        velocity_BNF = flow.velocity(outputs[NOISED].features, batch.mask_BN, label_B)
        error_BN = FOUR * (velocity_BNF - view.extra["velocity"]).square().mean(-1)
        row = flow.sampler.loss(label_B, _count(batch), batch.context_BC, draws.rows(batch.rows_B))
        terms = {
            "velocity": mean(constituent_mean(error_BN, batch.mask_BN), weights_B),
            "multiplicity": mean(row.multiplicity_B, weights_B, weight=self.config.multiplicity_weight),
        }
        if row.jet_B is not None:
            terms["jet"] = mean(row.jet_B, weights_B, weight=self.config.jet_weight)
        return Loss(terms)

    def _classes(self, batch: Batch, draws: Draws) -> Tensor:
        """Return the class numbers; in training some are replaced by K, which stands for none."""
        dropout = self.config.label_dropout if self.training else 0.0
        return conditioning_classes(batch, self.field, dropout=dropout, draws=draws)


def _flow(network: Network) -> Flow:
    if not isinstance(network.generator, Flow):
        raise ValueError("objective 'flow_matching' is given a network without a flow")
    return network.generator


def _count(batch: Batch) -> Tensor:
    return batch.mask_BN.sum(1)


def _label(config: FlowMatchingConfig, schema: Schema) -> Field | None:
    return conditioning_field(config.label or schema.label, schema, objective="flow_matching")
