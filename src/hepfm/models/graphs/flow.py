"""Noise to rows by a flow, its whole solver within the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hepfm.core.rng import torch_generator
from hepfm.generators.flow import Flow, FlowConfig, draw_noise
from hepfm.generators.jet_sampler import STEPS
from hepfm.generators.solvers import SOLVERS, midpoint, times
from hepfm.models.directory import Model
from hepfm.models.graphs.graph import PLACE, Graph, GraphTrial, Stage, Tensors
from hepfm.models.graphs.rows import AXES, describe, origin, probe
from hepfm.models.graphs.sampling import label_words, labels_of
from hepfm.networks.network import Network

_UNIFORM, _JET, _NOISE = "count_uniform", "jet_noise", "noise"
_BEFORE = "velocity_before"
_ROWS = {0: "batch", 1: "constituents"}
_AXES = {_UNIFORM: {0: "batch"}, _JET: {0: "batch"}, _NOISE: _ROWS, _BEFORE: _ROWS}


class _Step(nn.Module):
    """One step of a solver between two of its times.

    Parameters
    ----------
    steps
        Their number.
    """

    times_S: Tensor

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.register_buffer("times_S", torch.tensor(times(steps)))

    def ends(self, place: Tensor) -> tuple[Tensor, Tensor]:
        """Return both times, (1,) each."""
        number_1 = place.view(1)
        return self.times_S.index_select(0, number_1), self.times_S.index_select(0, number_1 + 1)


class JetStep(_Step):
    """A step of the kinematics.

    Parameters
    ----------
    generator
        The flow.
    """

    def __init__(self, generator: Flow) -> None:
        super().__init__(STEPS)
        self.sampler, self.num_classes = generator.sampler, generator.num_classes

    def forward(self, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the kinematics after the step, standardised, (B, J)."""
        jet_BJ = given[_JET]
        label_B = labels_of(given, like=jet_BJ)

        def velocity(x_BJ: Tensor, time_1: Tensor) -> Tensor:
            return self.sampler.velocity(x_BJ, time_1.expand(x_BJ.shape[0]), label_B)

        jet_BJ, _ = midpoint(velocity, jet_BJ, jet_BJ, *self.ends(given[PLACE]))
        return (jet_BJ,)


class FlowRows(nn.Module):
    """The number of constituents of each row, and its context, once the kinematics are known.

    Parameters
    ----------
    generator
        The flow.
    """

    def __init__(self, generator: Flow) -> None:
        super().__init__()
        self.sampler = generator.sampler

    def forward(self, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the mask (B, N), and the context (B, C) if the network has one."""
        uniform_B, noise_BNF = given[_UNIFORM], given[_NOISE]
        label_B = labels_of(given, like=uniform_B)
        if "context" in given:
            count_B, context_BC = self.sampler.count(label_B, given["context"], uniform_B), None
        else:
            count_B, context_BC = self.sampler.finish(label_B, given.get(_JET), uniform_B)
        mask_BN = torch.arange(noise_BNF.shape[1], device=noise_BNF.device) < count_B[:, None]
        return (mask_BN,) if context_BC is None else (mask_BN, context_BC)


class FlowStep(_Step):
    """A step of the constituents.

    Parameters
    ----------
    network
        The network.
    generator
        Its flow.
    config
        The solver and its steps.
    """

    def __init__(self, network: Network, generator: Flow, config: FlowConfig) -> None:
        super().__init__(config.steps)
        self.network, self.generator = network, generator
        self.solver = SOLVERS[config.solver]

    def forward(self, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the constituents after the step, standardised, and the velocity before the next,
        (B, N, F).
        """
        mask_BN, context_BC = given["mask"], given.get("context")
        label_B = labels_of(given, like=mask_BN)

        def velocity(x_BNF: Tensor, time_1: Tensor) -> Tensor:
            rows = self.network.physical(x_BNF, mask_BN, context_BC)
            features = self.network.features(rows, time_B=time_1.expand(x_BNF.shape[0]))
            return self.generator.velocity(features, mask_BN, label_B)

        x_BNF = given[_NOISE] * mask_BN[..., None]
        return self.solver(velocity, x_BNF, given[_BEFORE], *self.ends(given[PLACE]))  # type: ignore[arg-type]


class AtRest(nn.Module):
    """The velocity before the first step: none."""

    def forward(self, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return zeros, (B, N, F)."""
        return (torch.zeros_like(given[_NOISE]),)


class Physical(nn.Module):
    """Physical features of what was solved.

    Parameters
    ----------
    network
        The network.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.standardize = network.standardize

    def forward(self, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the features, (B, N, F)."""
        return (self.standardize.inverse_within(given[_NOISE], given["mask"]),)


@dataclass(frozen=True)
class FlowGraph:
    """The graph of a model's flow.

    Attributes
    ----------
    model
        The model.
    generator
        Its flow.
    config
        Solver and steps.
    given
        Whether the kinematics are inputs, and not drawn.
    """

    model: Model
    generator: Flow
    config: FlowConfig
    given: bool

    @property
    def _has_context(self) -> bool:
        return self.model.context is not None

    @property
    def _draws_count(self) -> bool:
        """Whether the number of constituents is drawn within the graph."""
        return not self.given or (self._has_context and not self.generator.sampler.counted)

    @property
    def _told(self) -> tuple[str, ...]:
        return ("context",) if self.given and self._has_context else ()

    @property
    def _draws_jets(self) -> bool:
        return not self.given and self.generator.sampler.num_jet > 0

    def build(self) -> Graph:
        """Return the graph."""
        inputs = self._replay(4, seed=0).inputs
        outputs = ["features", *(["mask"] if self._draws_count else [])]
        outputs += ["context"] if self._draws_jets else []
        words = {**describe(self.model), **self._own_words(), **label_words(self.model)}
        return Graph(
            stages=tuple(self._stages(tuple(inputs))),
            example=inputs,
            axes={**AXES, **_AXES},
            inputs={name: words[name] for name in inputs},
            outputs={name: words[name] for name in outputs},
            trials=self._trials,
            words={
                **origin(self.model, "generate_like" if self.given else "generate"),
                "generator": {"name": "flow", **self.config.model_dump(mode="json")},
            },
        )

    def _stages(self, inputs: tuple[str, ...]) -> Iterator[Stage]:
        label = ("label",) if "label" in inputs else ()
        if self._draws_jets:
            yield Stage(JetStep(self.generator), (_JET, *label), (_JET,), times=STEPS)
        if self._draws_count:
            own = (_JET,) if self._draws_jets else self._told
            made = ("mask", "context") if self._draws_jets else ("mask",)
            yield Stage(FlowRows(self.generator), (_UNIFORM, _NOISE, *own, *label), made)
        context = ("context",) if self._draws_jets else self._told
        step = FlowStep(self.model.network, self.generator, self.config)
        yield Stage(AtRest(), (_NOISE,), (_BEFORE,))
        given = (_NOISE, _BEFORE, "mask", *context, *label)
        yield Stage(step, given, (_NOISE, _BEFORE), times=self.config.steps)
        yield Stage(Physical(self.model.network), (_NOISE, "mask"), ("features",))

    def _own_words(self) -> dict[str, dict[str, Any]]:
        count, most = len(self.model.features), self.generator.max_constituents
        return {
            _NOISE: {
                "shape": ["batch", "constituents", count],
                "type": "float32",
                "values": "standard normal",
                "size": f"as many constituents as the largest row has, {most} at most",
            },
            _JET: {
                "shape": ["batch", self.generator.sampler.num_jet],
                "type": "float32",
                "values": "standard normal, for the kinematics",
            },
            _UNIFORM: {
                "shape": ["batch"],
                "type": "float32",
                "values": "uniform in [0, 1), for the number of constituents",
            },
        }

    def _trials(self) -> Iterator[GraphTrial]:
        for rows, seed in ((2, 1), (5, 2)):
            yield self._replay(rows, seed=seed)

    @torch.no_grad()
    def _replay(self, rows: int, *, seed: int) -> GraphTrial:
        """Return what `Network.generate` makes, with the random numbers that it draws."""
        network, sampler = self.model.network, self.generator.sampler
        label_B = torch.arange(rows) % (self.generator.num_classes + 1)
        context_BC = None
        if self._told:
            lengths = [3 + 2 * row for row in range(rows)]
            context_BC = probe(self.model, lengths, size=max(lengths), seed=seed).context_BC
        made = network.generate(label_B, context_BC, torch_generator(seed, "export"), options=self.config)
        draws = torch_generator(seed, "export")
        drawn: Tensors = {}
        if self._draws_jets:
            drawn[_JET] = torch.randn(rows, sampler.num_jet, generator=draws)
        if context_BC is None or not sampler.counted:
            drawn[_UNIFORM] = torch.rand(rows, generator=draws)
        drawn[_NOISE] = draw_noise(made.mask_BN, len(self.model.features), draws)
        if not self._draws_count:
            drawn = {_NOISE: drawn[_NOISE], "mask": made.mask_BN}
        told = {"label": label_B} if self.generator.num_classes else {}
        if context_BC is not None:
            told["context"] = context_BC
        expected = {
            "features": network.standardize.inverse_within(made.x_BNF, made.mask_BN),
            "mask": made.mask_BN,
        }
        if made.context_BC is not None:
            expected["context"] = made.context_BC
        return GraphTrial({**drawn, **told}, expected)
