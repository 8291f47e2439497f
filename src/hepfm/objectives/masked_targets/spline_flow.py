"""Spline-flow target: the density of a hidden constituent's features, by a normalising flow."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar

import pydantic
import torch
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.core.errors import missing_extra
from hepfm.data.feature_names import DISPLACEMENT, KINEMATICS
from hepfm.networks.network import Network
from hepfm.objectives.masked_targets.base import ContinuousTarget, FeatureNames, Hidden, Shown


class SplineFlowConfig(Config):
    """Options of `SplineFlow`; the defaults are those of 2409.12589's public code.

    Attributes
    ----------
    features
        The features whose density is learned.
    transforms
        Coupling layers.
    hidden_width, hidden_layers
        Of the network that gives the splines of a coupling layer.
    bins
        Pieces of a spline.
    bound
        Splines end at plus and minus this, in standardised features; beyond it nothing is changed.
    context_width
        Numbers, made of the decoder's vector, that the flow is conditioned on.
    noise
        Standard deviation of normal noise that is added to the features `noisy` before their density is
        asked for: uncertainties of impact parameters have few values, where a density would be infinite.
    noisy
        Those features; one that is not among `features` is passed over.
    """

    features: FeatureNames = KINEMATICS
    transforms: pydantic.PositiveInt = 6
    hidden_width: pydantic.PositiveInt = 64
    hidden_layers: pydantic.PositiveInt = 2
    bins: Annotated[int, pydantic.Field(ge=2)] = 8
    bound: Annotated[float, pydantic.Field(gt=0)] = 4.0
    context_width: pydantic.PositiveInt = 128
    noise: Annotated[float, pydantic.Field(ge=0)] = 0.05
    noisy: tuple[str, ...] = DISPLACEMENT


class SplineFlow(ContinuousTarget):
    """Negative log-likelihood of a conditional rational-quadratic coupling flow (1906.04032, 2409.12589).

    Features that only some constituents have get a flow of their own, conditioned on the features that all
    have: the likelihood of a constituent is that of the features it has, and the sum of both where it has
    all. The flow works in single precision.
    """

    Config: ClassVar[type[Config]] = SplineFlowConfig

    def __init__(self, config: SplineFlowConfig, network: Network, *, width: int) -> None:
        super().__init__(config.features, network)
        self.context = nn.Linear(width, config.context_width)
        conditional = network.feature_set.conditional
        markers = list(dict.fromkeys(conditional.get(name, "") for name in config.features))
        # Those that all have come first: they tell of the others, and not the other way round.
        self.parts = [
            [k for k, name in enumerate(config.features) if conditional.get(name, "") == marker]
            for marker in sorted(markers)
        ]
        known = 0
        self.flows = nn.ModuleList()
        for part in self.parts:
            self.flows.append(coupling_flow(config, len(part), context=config.context_width + known))
            known += len(part)
        noise = [config.noise if name in config.noisy else 0.0 for name in config.features]
        self.register_buffer("noise_K", torch.tensor(noise), persistent=False)

    noise_K: Tensor

    def loss(self, hidden: Hidden, shown: Shown) -> Tensor:
        """Return the negative log-likelihood of the features that each constituent has, (B, M)."""
        x_BMK, exists_BMK = self.wanted(hidden)
        noise_BMK = shown.draws.normal("masked.spline_noise", *x_BMK.shape[1:])
        with torch.autocast(x_BMK.device.type, enabled=False):
            dtype = self.noise_K.dtype
            x_BMK = (x_BMK + self.noise_K * noise_BMK * exists_BMK).to(dtype)
            vectors_BMW = shown.vectors.to(dtype)
            return self.nll(x_BMK, exists_BMK, self.context(vectors_BMW))

    def nll(self, x_BMK: Tensor, exists_BMK: Tensor, context_BMC: Tensor) -> Tensor:
        """Return the negative log-likelihood of the features that exist, (B, M)."""
        loss_BM = torch.zeros_like(x_BMK[..., 0])
        for part, flow in zip(self.parts, self.flows, strict=True):
            log_density_BM = flow(context_BMC).log_prob(x_BMK[..., part])
            loss_BM = loss_BM - torch.where(exists_BMK[..., part[0]], log_density_BM, 0.0)
            context_BMC = torch.cat([context_BMC, x_BMK[..., part]], dim=-1)
        return loss_BM


def coupling_flow(config: SplineFlowConfig, features: int, *, context: int) -> nn.Module:
    """Return a flow of so many features given so many others; raise `MissingExtraError` without zuko."""
    try:
        import zuko
    except ImportError as error:
        raise missing_extra(error.name or "zuko", "flows") from None
    layers: list[Any] = [
        zuko.flows.MaskedAutoregressiveTransform(
            features=features,
            context=context,
            passes=2,  # coupling: one half is changed given the context, then the other given both
            order=torch.arange(features) if number % 2 == 0 else torch.arange(features).flip(0),
            univariate=partial(zuko.transforms.MonotonicRQSTransform, bound=config.bound),
            shapes=[(config.bins,), (config.bins,), (config.bins - 1,)],
            hidden_features=(config.hidden_width,) * config.hidden_layers,
        )
        for number in range(config.transforms)
    ]
    zeros, ones = torch.zeros(features), torch.ones(features)
    base = zuko.lazy.UnconditionalDistribution(zuko.distributions.DiagNormal, zeros, ones, buffer=True)
    flow: nn.Module = zuko.flows.Flow(layers, base)
    return flow
