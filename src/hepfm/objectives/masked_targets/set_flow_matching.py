"""Set flow matching: a velocity from noise to all hidden constituents of a row together."""

from __future__ import annotations

from typing import ClassVar

import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.data.feature_names import KINEMATICS
from hepfm.networks.network import Network
from hepfm.nn.attention import key_bias
from hepfm.nn.cross_attention import CrossAttentionBlock
from hepfm.nn.pet_blocks import PetAttention
from hepfm.nn.time_code import cosine_code
from hepfm.objectives.masked_targets.base import (
    ContinuousTarget,
    FeatureNames,
    Hidden,
    Shown,
    mean_over_existing,
)
from hepfm.objectives.masked_targets.identity import TYPES, ParticleTypeReader


class SetFlowConfig(Config):
    """Options of `SetFlow`; sizes as in 2409.12589's public code.

    Attributes
    ----------
    features
        The continuous features that are noised.
    types
        Whether the particle type is noised beside them, as one number 0 or 1 for each.
    width, num_blocks, num_heads
        D, blocks and attention heads of the decoder.
    time_code
        Numbers that tell it the time.
    """

    features: FeatureNames = KINEMATICS
    types: bool = True
    width: pydantic.PositiveInt = 32
    num_blocks: pydantic.PositiveInt = 6
    num_heads: pydantic.PositiveInt = 4
    time_code: pydantic.PositiveInt = 16

    @pydantic.model_validator(mode="after")
    def _check(self) -> SetFlowConfig:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        return self


class SetDecoderBlock(nn.Module):
    """Constituents of the noised set see each other, then what is shown of the row."""

    def __init__(self, width: int, *, num_heads: int) -> None:
        super().__init__()
        self.among = PetAttention(width, num_heads=num_heads, dropout=0.0)
        self.across = CrossAttentionBlock(width, num_heads=num_heads)

    def forward(self, x_BMD: Tensor, bias_M: Tensor, shown_BKD: Tensor, bias_K: Tensor) -> Tensor:
        """Return the constituents after the block, (B, M, D)."""
        x_BMD = x_BMD + self.among(x_BMD, bias_M)
        out_BMD: Tensor = self.across(x_BMD, shown_BKD, bias_K)
        return out_BMD


class SetFlow(ContinuousTarget):
    """Flow matching of the set of all hidden constituents, with one time of each row (2409.12589).

    A decoder of its own sees the noised set and the backbone's tokens of what is shown; nothing tells it
    ranks in pt. With x the features, and the type as zeros and a one, noise eps and t = sigmoid(N(0, 1)) it
    is shown ``(1 - t) x + t eps`` and asked for ``eps - x``. Features that a constituent does not have are
    zero for the decoder, and not asked for.
    """

    Config: ClassVar[type[Config]] = SetFlowConfig
    reads_vectors = False

    def __init__(self, config: SetFlowConfig, network: Network, *, width: int) -> None:
        super().__init__(config.features, network)
        self.config = config
        self.types = (
            ParticleTypeReader(network.feature_set, asking="set_flow_matching") if config.types else None
        )
        size = len(self.columns) + (len(TYPES) if self.types else 0)
        self.enter = nn.Linear(size + config.time_code, config.width)
        self.shown = nn.Linear(network.backbone.width, config.width)
        self.blocks = nn.ModuleList(
            SetDecoderBlock(config.width, num_heads=config.num_heads) for _ in range(config.num_blocks)
        )
        self.leave = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, size))

    def asked(self, hidden: Hidden) -> Tensor:
        """Return which hidden constituents have a loss: with types all."""
        return hidden.mask_BM if self.types else super().asked(hidden)

    def wanted(self, hidden: Hidden) -> tuple[Tensor, Tensor]:
        """Return features, and the type as zeros and a one, (B, M, K), and which exist."""
        x_BMK, exists_BMK = super().wanted(hidden)
        if self.types is None:
            return x_BMK, exists_BMK
        type_BMC = F.one_hot(self.types.numbers(hidden.features_BMF), len(TYPES)).to(x_BMK.dtype)
        return (
            torch.cat([x_BMK, type_BMC], dim=-1),
            F.pad(exists_BMK, (0, len(TYPES)), value=True),
        )

    def velocity(self, z_BMK: Tensor, time_B: Tensor, mask_BM: Tensor, shown: Shown) -> Tensor:
        """Return the velocity of a noised set, (B, M, K)."""
        shown_BKD = self.shown(shown.tokens_BKD)
        code_BMC = cosine_code(time_B, self.config.time_code)[:, None].expand(-1, z_BMK.shape[1], -1)
        x_BMD = self.enter(torch.cat([z_BMK, code_BMC], dim=-1).to(shown.tokens_BKD.dtype))
        bias_M, bias_K = (key_bias(mask, x_BMD.dtype) for mask in (mask_BM, shown.mask_BK))
        for block in self.blocks:
            x_BMD = block(x_BMD, bias_M, shown_BKD, bias_K)
        velocity_BMK: Tensor = self.leave(x_BMD)
        return velocity_BMK.float() if velocity_BMK.dtype == torch.bfloat16 else velocity_BMK

    def loss(self, hidden: Hidden, shown: Shown) -> Tensor:
        """Return the mean squared error over the features that each constituent has, (B, M)."""
        x_BMK, exists_BMK = self.wanted(hidden)
        time_B = shown.draws.normal("masked.set_time").sigmoid()
        noise_BMK = shown.draws.normal("masked.set_noise", *x_BMK.shape[1:]) * exists_BMK
        z_BMK = x_BMK + time_B[:, None, None] * (noise_BMK - x_BMK)
        error_BMK = self.velocity(z_BMK, time_B, hidden.mask_BM, shown) - (noise_BMK - x_BMK)
        return mean_over_existing(error_BMK.square(), exists_BMK)
