"""Flow-matching target: a velocity from noise to each hidden constituent by itself."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import pydantic
import torch
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.data.feature_names import KINEMATICS
from hepfm.networks.network import Network
from hepfm.nn.time_code import cosine_code
from hepfm.objectives.masked_targets.base import (
    ContinuousTarget,
    FeatureNames,
    Hidden,
    Shown,
    mean_over_existing,
)


class ConstituentFlowConfig(Config):
    """Options of `ConstituentFlow`; the defaults are those of 2409.12589's public code.

    Attributes
    ----------
    features
        The features that are noised.
    hidden_width, hidden_layers
        Of the network of the velocity.
    time_code
        Numbers that tell it the time.
    """

    features: FeatureNames = KINEMATICS
    hidden_width: pydantic.PositiveInt = 128
    hidden_layers: pydantic.PositiveInt = 3
    time_code: pydantic.PositiveInt = 16


class ConstituentFlow(ContinuousTarget):
    """Flow matching of each constituent, given the decoder's vector of it (2210.02747, 2409.12589).

    With features x, noise eps ~ N(0, 1) and the time t = sigmoid(N(0, 1)) of each constituent, the network is
    shown ``(1 - t) x + t eps`` and asked for ``eps - x``. Features that a constituent does not have are zero
    for the network, and not asked for.
    """

    Config: ClassVar[type[Config]] = ConstituentFlowConfig

    def __init__(self, config: ConstituentFlowConfig, network: Network, *, width: int) -> None:
        super().__init__(config.features, network)
        self.time_code = config.time_code
        sizes = [len(self.columns) + config.time_code + width] + [config.hidden_width] * config.hidden_layers
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.SiLU(), nn.LayerNorm(outputs)]
        self.network = nn.Sequential(*layers, nn.Linear(sizes[-1], len(self.columns)))

    def velocity(self, z_BMK: Tensor, time_BM: Tensor, vectors_BMW: Tensor) -> Tensor:
        """Return the velocity of noised features, (B, M, K)."""
        code_BMC = cosine_code(time_BM, self.time_code)
        parts = [part.to(vectors_BMW.dtype) for part in (z_BMK, code_BMC)]
        velocity_BMK: Tensor = self.network(torch.cat([*parts, vectors_BMW], dim=-1))
        return velocity_BMK.float() if velocity_BMK.dtype == torch.bfloat16 else velocity_BMK

    def loss(self, hidden: Hidden, shown: Shown) -> Tensor:
        """Return the mean squared error over the features that each constituent has, (B, M)."""
        x_BMK, exists_BMK = self.wanted(hidden)
        time_BM = shown.draws.normal("masked.flow_time", x_BMK.shape[1]).sigmoid()
        noise_BMK = shown.draws.normal("masked.flow_noise", *x_BMK.shape[1:]) * exists_BMK
        z_BMK = x_BMK + time_BM[..., None] * (noise_BMK - x_BMK)
        error_BMK = self.velocity(z_BMK, time_BM, shown.vectors) - (noise_BMK - x_BMK)
        return mean_over_existing(error_BMK.square(), exists_BMK)
