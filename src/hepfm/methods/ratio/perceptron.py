"""A perceptron on observables of the rows, trained by binary cross-entropy: all rows are in memory.

Observables are a few numbers of a row, so that a step is a few small matrix products: what the training loop
of networks does for a step (loaders, parts, checkpoints) would cost more than the step.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.core.errors import DivergedError
from hepfm.core.rng import numpy_generator, torch_generator
from hepfm.methods.observables import Values
from hepfm.methods.ratio.base import Floats, Ratio, TwoWeights
from hepfm.methods.ratio.on_observables import ObservablesConfig, OnObservables

_ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU}
_LARGEST = 10.0
"""Standard deviations at which standardised observables are cut: one damaged row must not decide a step."""
_PIECE = 4096
"""Rows that go through the network at once without a gradient: what lies between its layers stays in the
processor's cache, and memory does not grow with the number of rows."""


class PerceptronConfig(ObservablesConfig):
    """Options of `Perceptron`; layers, activation, epochs and patience are those of package ``omnifold``.

    Attributes
    ----------
    hidden
        Widths of the layers.
    activation
        Between them.
    epochs, patience
        Most epochs, and the number without a better validation loss after which training ends. The best
        weights are kept.
    batch_size, learning_rate, weight_decay
        Of Adam.
    validation_fraction
        Part of the rows of each fit that is set aside.
    """

    hidden: tuple[pydantic.PositiveInt, ...] = (64, 128, 64)
    activation: Literal["gelu", "relu", "silu"] = "gelu"
    epochs: pydantic.PositiveInt = 50
    patience: pydantic.PositiveInt = 10
    batch_size: pydantic.PositiveInt = 1024
    learning_rate: float = pydantic.Field(1e-3, gt=0)
    weight_decay: float = pydantic.Field(0.0, ge=0)
    validation_fraction: float = pydantic.Field(0.2, gt=0, lt=1)


@dataclass(frozen=True)
class PerceptronRatio(Ratio[Values]):
    """A trained perceptron with the constants of its inputs."""

    network: nn.Module
    centre_F: Tensor
    scale_F: Tensor
    facts: Mapping[str, Any] = field(default_factory=dict)

    @torch.no_grad()
    def log_ratio(self, x: Values) -> Floats:
        """Return the logit of each row; see `Ratio.log_ratio`."""
        logits_R = _logits(self.network, _standard(torch.from_numpy(x), self.centre_F, self.scale_F))
        return logits_R.numpy().astype(np.float64)


class Perceptron(OnObservables):
    """Dense layers on standardised observables."""

    Config: ClassVar[type[Config]] = PerceptronConfig
    warm = True
    config: PerceptronConfig

    def fit(
        self, x: Values, weights: TwoWeights, *, seed: int, start: Ratio[Values] | None = None
    ) -> PerceptronRatio:
        """Train to the best validation loss; see `RatioEstimator.fit`."""
        rows = numpy_generator(seed, "ratio.validation").permutation(len(x))
        validated = max(1, round(self.config.validation_fraction * len(x)))
        parts = rows[:validated], rows[validated:]
        if isinstance(start, PerceptronRatio):  # its constants too, or its weights would mean something else
            network, constants = copy.deepcopy(start.network), (start.centre_F, start.scale_F)
        else:
            network, constants = self._network(x.shape[1], seed), _constants(x, weights)
        x_RF = _standard(torch.from_numpy(x), *constants)
        pairs = torch.from_numpy(np.stack(weights.balanced(), axis=1)).float()
        validation, training = (
            (x_RF[torch.from_numpy(part)], pairs[torch.from_numpy(part)]) for part in parts
        )
        facts = self._train(network, training, validation, seed)
        return PerceptronRatio(network, *constants, facts)

    def _network(self, inputs: int, seed: int) -> nn.Sequential:
        widths = (inputs, *self.config.hidden)
        layers: list[nn.Module] = []
        generator = torch_generator(seed, "ratio.init")
        for before, after in zip(widths, (*widths[1:], 1), strict=True):
            layer = nn.Linear(before, after)
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
            layers += [layer, _ACTIVATIONS[self.config.activation]()]
        return nn.Sequential(*layers[:-1])

    def _train(
        self,
        network: nn.Module,
        training: tuple[Tensor, Tensor],
        validation: tuple[Tensor, Tensor],
        seed: int,
    ) -> dict[str, Any]:
        config = self.config
        optimizer = torch.optim.Adam(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        best, best_epoch, kept, losses = math.inf, 0, copy.deepcopy(network.state_dict()), []
        for epoch in range(1, config.epochs + 1):
            for x_BF, pair_B2 in _batches(
                *training, config.batch_size, numpy_generator(seed, "ratio.order", epoch)
            ):
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(ratio_loss(network(x_BF)[:, 0], pair_B2))
                optimizer.step()
            with torch.no_grad():
                losses.append(float(ratio_loss(_logits(network, validation[0]), validation[1])))
            if not math.isfinite(losses[-1]):
                raise DivergedError(
                    f"the validation loss of a density ratio is {losses[-1]} after epoch {epoch}; lower "
                    "learning_rate, and look at the weights: large ones of both signs have no lowest loss"
                )
            if losses[-1] < best:
                best, best_epoch, kept = losses[-1], epoch, copy.deepcopy(network.state_dict())
            if epoch - best_epoch >= config.patience:
                break
        network.load_state_dict(kept)
        return {
            "epochs": len(losses),
            "best_epoch": best_epoch,
            "validation_loss": best,
            "validation_losses": losses,
            "stopped_early": len(losses) < config.epochs,
        }


def _logits(network: nn.Module, x_RF: Tensor) -> Tensor:
    """Return the logits of any number of rows."""
    return torch.cat([network(x_BF)[:, 0] for x_BF in torch.split(x_RF, _PIECE)])


def ratio_loss(logit_B: Tensor, pair_B2: Tensor) -> Tensor:
    """Return the binary cross-entropy of rows that count in both samples; ln 2 where nothing tells them
    apart.

    Parameters
    ----------
    logit_B
        ln of the ratio, which the loss is lowest for.
    pair_B2
        Weights in numerator and denominator, of mean 1/2 each over all rows.
    """
    numerator_B, denominator_B = pair_B2.unbind(1)
    return (numerator_B * F.softplus(-logit_B) + denominator_B * F.softplus(logit_B)).mean()


def _batches(
    x_RF: Tensor, pair_R2: Tensor, size: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the rows of an epoch in a random order; gathered once, then cut."""
    order = torch.from_numpy(rng.permutation(len(x_RF)))
    yield from zip(torch.split(x_RF[order], size), torch.split(pair_R2[order], size), strict=True)


def _constants(x: Values, weights: TwoWeights) -> tuple[Tensor, Tensor]:
    """Return centre and scale of each observable, of both samples together."""
    counted = (weights.numerator != 0) | (weights.denominator != 0)
    values = x[counted].astype(np.float64)
    scale = np.where(values.std(axis=0) > 0, values.std(axis=0), 1.0)
    return torch.from_numpy(values.mean(axis=0)).float(), torch.from_numpy(scale).float()


def _standard(x_RF: Tensor, centre_F: Tensor, scale_F: Tensor) -> Tensor:
    return ((x_RF - centre_F) / scale_F).clamp(-_LARGEST, _LARGEST)
