"""Flow matching: learn the velocity that carries noise to constituents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import pydantic
import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component, resolve_component
from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import ConfigError, DataError, IncompatibleError
from hepfm.core.schema import Field, Schema
from hepfm.generators import GENERATORS
from hepfm.generators.flow import Flow, draw_noise
from hepfm.generators.jet_sampler import SamplerLoss
from hepfm.objectives.base import Loss, Objective, Seen, View
from hepfm.objectives.network import Network, Source
from hepfm.objectives.reduce import constituent_mean, row_mean
from hepfm.objectives.told import told_classes, told_field

NOISED = "noised"
"""Name of the view that is a noised copy."""

REDUNDANT = ("log_pt_rel", "log_energy_rel", "delta_r")
"""Features that follow from others: noised one by one they would contradict each other."""

FITTING_SETS = ("pet", "petpid", "petfull")
"""Feature sets whose columns are independent."""

_Weight = Annotated[float, pydantic.Field(ge=0)]


class FlowMatchingConfig(BaseConfig):
    """Options of `FlowMatching`.

    Attributes
    ----------
    generator
        Component spec of the generator, whose weights the objective trains with those of the backbone.
    label
        The categorical field whose class the generator is told; None means the label that the store's schema
        names, and no class for data without labels.
    label_dropout
        Probability per row of training with which the class is not told, so that rows of no given class can
        be made too; 0.1 in OmniLearn (2404.16091, public code).
    max_constituents
        Most constituents of a row that is made; not below ``data.max_constituents``.
    multiplicity_weight, jet_weight
        Weights of the losses of the number of constituents and of the row's kinematics. They train networks
        of their own.
    """

    generator: str | dict[str, Any] = "flow"
    label: str | None = None
    label_dropout: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.1
    max_constituents: pydantic.PositiveInt = 150
    multiplicity_weight: _Weight = 1.0
    jet_weight: _Weight = 1.0


class FlowMatching(Objective):
    """Noise each row to a random time and learn the velocity (2210.02747; for jets 2310.00049, 2510.24066).

    With standardised features x, noise eps ~ N(0, 1) and t ~ U(0, 1) per row, the network sees
    ``z = (1 - t) x + t eps`` and the generator's head is asked for ``eps - x``. The squared error is summed
    over features, averaged over the constituents of each row, then over rows.

    Parts of the loss: ``velocity``, ``multiplicity`` (cross-entropy of the number of constituents) and, for a
    network that is told of the row's kinematics, ``jet`` (the same squared error for these).
    """

    Config: ClassVar[type[BaseConfig]] = FlowMatchingConfig
    needs = frozenset({"condition"})
    makes: ClassVar[frozenset[str]] = frozenset({NOISED})

    def __init__(self, config: FlowMatchingConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.config: FlowMatchingConfig = config
        self.field = _label(config, schema)
        _check_features(network.feature_names)
        source = Source(self.generator_of(config), self.field, config.max_constituents)
        if not _can_go_on(network, source):
            network.add_generator(source)

    @property
    def generator(self) -> Flow:
        """The network's generator."""
        found = self.network.generator
        assert isinstance(found, Flow)
        return found

    @classmethod
    def targets(cls, config: BaseConfig, schema: Schema) -> tuple[str, ...]:
        """Return the field of the class, if the data have one."""
        assert isinstance(config, FlowMatchingConfig)
        field = _label(config, schema)
        return (field.name,) if field else ()

    @classmethod
    def generator_of(cls, config: BaseConfig) -> Component:
        """Return the generator; raise `ConfigError` when it is no flow."""
        assert isinstance(config, FlowMatchingConfig)
        component = resolve_component(GENERATORS, config.generator, where="objective.generator")
        if not issubclass(component.cls, Flow):
            raise ConfigError(
                "objective 'flow_matching' trains the generator 'flow' or a kind of it, not "
                f"{component.name!r}"
            )
        return component

    def fit(self, batches: Iterable[Batch]) -> None:
        """Measure the largest number of constituents and the spread of the row's kinematics."""
        self.generator.sampler.fit((_count(batch), batch.context_BC) for batch in batches)

    def views(self, batch: Batch, generator: torch.Generator) -> dict[str, View]:
        """Return the noised copy; its `extra` holds the velocity, its clarity is (1 - t)^2."""
        self._check_length(batch)
        x_BNF = self.network.standardize(batch.features_BNF, batch.mask_BN)
        time_B = torch.rand(len(batch), generator=generator, device=x_BNF.device)
        noise_BNF = draw_noise(batch.mask_BN, x_BNF.shape[-1], generator)
        velocity_BNF = noise_BNF - x_BNF
        noised_BNF = x_BNF + time_B[:, None, None] * velocity_BNF
        noised = replace(
            self.network.physical(noised_BNF, batch.mask_BN, batch.context_BC),
            rows_B=batch.rows_B,
            labels=batch.labels,
            weights_B=batch.weights_B,
        )
        return {NOISED: View(noised, time_B, (1 - time_B).square(), {"velocity": velocity_BNF})}

    def loss(self, seen: Mapping[str, Seen], generator: torch.Generator) -> Loss:
        """Return the error of the velocity and the losses of the row's own sampler."""
        view = seen[NOISED].view
        batch = view.batch
        label_B = self._told(batch, generator)
        found_BNF = self.generator.velocity(seen[NOISED].features, batch.mask_BN, label_B)
        error_BN = (found_BNF - view.extra["velocity"]).square().sum(-1)
        velocity = row_mean(constituent_mean(error_BN, batch.mask_BN), batch.weights_B)
        row = self.generator.sampler.loss(label_B, _count(batch), batch.context_BC, generator)
        return self._sum(velocity, row, batch.weights_B)

    def _sum(self, velocity: Tensor, row: SamplerLoss, weights_B: Tensor | None) -> Loss:
        multiplicity = row_mean(row.multiplicity_B, weights_B)
        total = velocity + self.config.multiplicity_weight * multiplicity
        parts = {"velocity": velocity.detach(), "multiplicity": multiplicity.detach()}
        if row.jet_B is not None:
            jet = row_mean(row.jet_B, weights_B)
            total = total + self.config.jet_weight * jet
            parts["jet"] = jet.detach()
        return Loss(total, parts)

    def _told(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return the class numbers; in training some are replaced by K, which stands for none."""
        rate = self.config.label_dropout if self.training else 0.0
        return told_classes(batch, self.field, rate=rate, generator=generator)

    def _check_length(self, batch: Batch) -> None:
        most = self.generator.max_constituents
        if batch.mask_BN.shape[1] > most and int(_count(batch).max()) > most:
            raise DataError(
                f"a row has {int(_count(batch).max())} constituents and the generator makes up to {most}; "
                "raise objective.max_constituents or lower data.max_constituents"
            )


def _count(batch: Batch) -> Tensor:
    return batch.mask_BN.sum(1)


def _label(config: FlowMatchingConfig, schema: Schema) -> Field | None:
    return told_field(config.label or schema.label, schema, objective="flow_matching")


def _check_features(names: tuple[str, ...]) -> None:
    redundant = [name for name in names if name in REDUNDANT]
    if redundant:
        raise IncompatibleError(
            f"objective 'flow_matching' makes every feature by itself, and {', '.join(redundant)} follow "
            f"from others; set data.features to one of independent columns: {', '.join(FITTING_SETS)}"
        )


def _can_go_on(network: Network, wanted: Source) -> bool:
    """Tell whether the network has a generator of the same kind, sizes and classes; its weights are kept."""
    source = network.source
    if network.generator is None or source is None:
        return False
    return source == wanted
