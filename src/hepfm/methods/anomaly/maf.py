"""Density of features given the resonant field: a masked autoregressive flow (1705.07057) by package zuko."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pydantic
import torch
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.core.errors import DataError, DivergedError, missing_extra
from hepfm.core.rng import integer_seed, numpy_generator, torch_generator
from hepfm.methods.anomaly.flow_density import log_density
from hepfm.methods.observables import Values
from hepfm.methods.ratio.base import Floats
from hepfm.models.device import pick_device

_MARGIN = 1e-3
"""Part of the range of a feature by which it is widened on each side before the logit: ends stay finite."""
_PIECE = 50_000
"""Rows of which densities are computed, or samples drawn, at once."""


class MafConfig(Config):
    """Options of the density; all but `patience` are those of CATHODE's public code (2109.00546).

    Attributes
    ----------
    transforms, hidden
        Autoregressive affine transformations, and the widths of the hidden layers of each.
    epochs, batch_size, learning_rate, weight_decay
        Of Adam.
    patience
        Epochs without a better validation loss after which training ends; None never ends it early.
    kept
        Epochs of lowest validation loss that make the density together, in equal parts.
    transform
        ``logit`` maps the range of each feature to all numbers first; ``none`` standardises alone.
    validation_fraction
        Part of the events that is set aside.
    device
        Where it is trained.
    """

    transforms: int = pydantic.Field(15, ge=1)
    hidden: tuple[pydantic.PositiveInt, ...] = (128,)
    epochs: pydantic.PositiveInt = 100
    batch_size: pydantic.PositiveInt = 256
    learning_rate: float = pydantic.Field(1e-4, gt=0)
    weight_decay: float = pydantic.Field(1e-6, ge=0)
    patience: pydantic.PositiveInt | None = None
    kept: pydantic.PositiveInt = 10
    transform: Literal["logit", "none"] = "logit"
    validation_fraction: float = pydantic.Field(0.2, gt=0, lt=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True)
class Scaling:
    """How features become inputs of a flow.

    Attributes
    ----------
    low, high
        Ends of the range of each feature, (F,), widened; None without logit.
    centre, scale
        Of the features after it, (F,), and of the field.
    mass_centre, mass_scale
        Of the field.
    """

    low: Floats | None
    high: Floats | None
    centre: Floats
    scale: Floats
    mass_centre: float
    mass_scale: float

    @classmethod
    def of(cls, x: Values, mass: Floats, transform: str) -> Scaling:
        """Return the scaling of some events."""
        values = x.astype(np.float64)
        low = high = None
        if transform == "logit":
            least, most = values.min(axis=0), values.max(axis=0)
            if (least == most).any():
                raise DataError("a feature has one value in all events: it has no density; leave it out")
            low, high = least - _MARGIN * (most - least), most + _MARGIN * (most - least)
        scaling = cls(low, high, np.zeros(x.shape[1]), np.ones(x.shape[1]), float(mass.mean()), 1.0)
        inputs, _ = scaling.inputs(x, mass)
        return cls(
            low,
            high,
            np.nanmean(inputs, axis=0),
            np.nanstd(inputs, axis=0),
            scaling.mass_centre,
            float(mass.std()) or 1.0,
        )

    def inputs(self, x: Values, mass: Floats) -> tuple[Floats, Floats]:
        """Return inputs (R, F) and ln of the Jacobian (R,); NaN beyond the range of a feature."""
        values, jacobian = x.astype(np.float64), np.zeros(len(x))
        if self.low is not None and self.high is not None:
            width = self.high - self.low
            share = (values - self.low) / width
            share = np.where((share > 0) & (share < 1), share, np.nan)
            values = np.log(share) - np.log1p(-share)
            jacobian = -(np.log(share) + np.log1p(-share) + np.log(width)).sum(axis=1)
        return (values - self.centre) / self.scale, jacobian - np.log(self.scale).sum()

    def features(self, inputs: Floats) -> Values:
        """Return features of inputs, (R, F)."""
        values = inputs * self.scale + self.centre
        if self.low is not None and self.high is not None:
            values = self.low + (self.high - self.low) / (1 + np.exp(-values))
        return values.astype(np.float32)

    def condition(self, mass: Floats) -> Tensor:
        """Return the field as a flow reads it, (R, 1)."""
        return torch.from_numpy((mass - self.mass_centre) / self.mass_scale).float()[:, None]


@dataclass(frozen=True)
class Maf:
    """A learned density p(features | field).

    Attributes
    ----------
    flows
        Whose mean it is.
    scaling
        Of what they read.
    device
        Where they are.
    facts
        Of the training, JSON-ready.
    """

    flows: tuple[nn.Module, ...]
    scaling: Scaling
    device: torch.device
    facts: Mapping[str, Any] = field(default_factory=dict)

    @torch.no_grad()
    def log_density(self, x: Values, mass: Floats) -> Floats:
        """Return ln p(x | mass), (R,); minus infinity beyond the range of a feature."""
        inputs, jacobian = self.scaling.inputs(x, mass)
        inside: npt.NDArray[np.bool_] = np.asarray(np.isfinite(inputs).all(axis=1))
        x_RF = torch.from_numpy(np.where(inside[:, None], inputs, 0.0)).float()
        condition = self.scaling.condition(mass)
        found = [
            torch.stack([log_density(flow, piece, c) for flow in self.flows]).double().logsumexp(0).cpu()
            for piece, c in _pieces(x_RF, condition, device=self.device)
        ]
        density: Floats = torch.cat(found).numpy() - math.log(len(self.flows)) + jacobian
        return np.where(inside, density, -np.inf)

    @torch.no_grad()
    def sample(self, mass: Floats, *, seed: int) -> Values:
        """Draw features for values of the field, (R, F); the flows take turns."""
        rng = numpy_generator(seed, "maf.turns")
        turn = rng.permutation(np.arange(len(mass)) % len(self.flows))
        out = np.empty((len(mass), len(self.scaling.centre)))
        noise = torch_generator(seed, "maf.samples")
        for number, flow in enumerate(self.flows):
            here = np.flatnonzero(turn == number)
            for places in np.array_split(here, max(1, math.ceil(len(here) / _PIECE))):
                if not len(places):
                    continue
                z_RF = torch.randn(len(places), out.shape[1], generator=noise).to(self.device)
                transform = flow(self.scaling.condition(mass[places]).to(self.device)).transform
                out[places] = transform.inv(z_RF).double().cpu().numpy()
        return self.scaling.features(out)


def fit_maf(x: Values, mass: Floats, config: MafConfig, *, seed: int) -> Maf:
    """Learn the density of features given the field.

    Parameters
    ----------
    x, mass
        Features (R, F) and field (R,) of the events.
    config
        Options.
    seed
        Of the part for validation, initial weights and the order of events.

    Raises
    ------
    DivergedError
        When the validation loss is not finite.
    MissingExtraError
        Without package zuko.
    """
    if len(x) < 2:
        raise DataError(f"a density is learned from at least 2 events, got {len(x)}")
    scaling = Scaling.of(x, mass, config.transform)
    order = numpy_generator(seed, "maf.validation").permutation(len(x))
    count = max(1, round(config.validation_fraction * len(x)))
    inputs = torch.from_numpy(scaling.inputs(x, mass)[0]).float()
    condition = scaling.condition(mass)
    device = torch.device(pick_device(config.device, option="device"))
    parts = [
        (inputs[part], condition[part]) for part in map(torch.from_numpy, (order[:count], order[count:]))
    ]
    flow = _flow(x.shape[1], config, seed).to(device)
    states, losses = _train(flow, parts[1], parts[0], config, seed, device)
    flows = []
    for state in states:
        one = copy.deepcopy(flow)
        one.load_state_dict(state)
        flows.append(one.eval().requires_grad_(requires_grad=False))
    return Maf(tuple(flows), scaling, device, {"epochs": len(losses), "validation_losses": losses})


def _flow(features: int, config: MafConfig, seed: int) -> nn.Module:
    try:
        import zuko
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "zuko", "flows") from None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer_seed(seed, "maf.init"))
        flow: nn.Module = zuko.flows.MAF(
            features, 1, transforms=config.transforms, hidden_features=config.hidden, activation=nn.ReLU
        )
    return flow


def _train(
    flow: nn.Module,
    training: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    config: MafConfig,
    seed: int,
    device: torch.device,
) -> tuple[list[dict[str, Tensor]], list[float]]:
    """Return the weights of the best epochs, and all validation losses."""
    optimizer = torch.optim.Adam(
        flow.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    x_RF, condition_R1 = (part.to(device) for part in training)
    best: list[tuple[float, int, dict[str, Tensor]]] = []
    losses: list[float] = []
    for epoch in range(config.epochs):
        order = torch.from_numpy(numpy_generator(seed, "maf.order", epoch).permutation(len(x_RF))).to(device)
        for batch in torch.split(order, config.batch_size):
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(-log_density(flow, x_RF[batch], condition_R1[batch]).mean())
            optimizer.step()
        losses.append(_loss(flow, validation, device))
        if not math.isfinite(losses[-1]):
            raise DivergedError(
                f"the validation loss of a density is {losses[-1]} after epoch {epoch + 1}; lower "
                "learning_rate, or look for features with spikes or far outliers"
            )
        if len(best) < config.kept or losses[-1] < best[-1][0]:
            best.append((losses[-1], epoch, copy.deepcopy(flow.state_dict())))
            best = sorted(best, key=lambda one: one[:2])[: config.kept]
        if config.patience is not None and epoch - best[0][1] >= config.patience:
            break
    return [state for _, _, state in best], losses


@torch.no_grad()
def _loss(flow: nn.Module, rows: tuple[Tensor, Tensor], device: torch.device) -> float:
    found = [-log_density(flow, x, c).double().sum() for x, c in _pieces(*rows, device=device)]
    return float(torch.stack(found).sum()) / len(rows[0])


def _pieces(*tensors: Tensor, device: torch.device) -> Iterator[Sequence[Tensor]]:
    for pieces in zip(*(torch.split(tensor, _PIECE) for tensor in tensors), strict=True):
        yield [piece.to(device) for piece in pieces]
