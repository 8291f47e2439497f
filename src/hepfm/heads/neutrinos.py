"""Neutrino and antineutrino of an event by diffusion, given what was reconstructed (after 2601.17126)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.data.targets import SLOTS
from hepfm.heads.base import Head, Level
from hepfm.nn.attention import key_bias
from hepfm.nn.blocks import PreNormBlock
from hepfm.nn.cosine_schedule import ddim
from hepfm.nn.cross_attention import CrossAttentionBlock
from hepfm.nn.layers import Layers
from hepfm.nn.object_time import TimeVector
from hepfm.nn.pooling import summary

COORDINATES = 3
"""px, py and pseudorapidity, each standardised: no coordinate has a seam, as an azimuth would."""


class NeutrinosHeadConfig(Config):
    """Options of `NeutrinosHead`.

    Attributes
    ----------
    num_blocks, num_heads
        Blocks of attention to the objects and between the neutrinos, and their heads.
    steps
        Steps of the sampler from noise to neutrinos; 100 in EveNet.
    solutions
        Solutions of each event that `forward` gives; more can be drawn, see `NeutrinosHead.sample`.
    """

    num_blocks: PositiveInt = 2
    num_heads: PositiveInt = 4
    steps: Annotated[int, Field(ge=2)] = 20
    solutions: PositiveInt = 16


class NeutrinosHead(Head):
    """Solutions for the momenta of neutrino and antineutrino, and how likely there is one.

    Noised neutrinos attend to the event's summary and its objects, which do not see them, and to each other;
    the network of the objects runs once, however many solutions are drawn.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    num_outputs
        Not used.
    """

    Config: ClassVar[type[Config]] = NeutrinosHeadConfig
    level: ClassVar[Level] = "solutions"
    centre_K: Tensor
    scale_K: Tensor
    noise_SMK: Tensor

    def __init__(self, config: NeutrinosHeadConfig, *, width: int, num_outputs: int) -> None:
        super().__init__()
        if width % config.num_heads:
            raise IncompatibleError(
                f"head neutrinos: the backbone's width {width} is not a multiple of num_heads "
                f"{config.num_heads}; set num_heads to a divisor"
            )
        self.config = config
        self.register_buffer("centre_K", torch.zeros(COORDINATES))
        self.register_buffer("scale_K", torch.ones(COORDINATES))
        self.register_buffer("noise_SMK", torch.randn(config.solutions, SLOTS, COORDINATES))
        self.enter = nn.Linear(COORDINATES, width)
        self.slot_MD = nn.Parameter(torch.randn(SLOTS, width) * 0.02)
        self.time = TimeVector(width)
        self.gather: Layers[CrossAttentionBlock] = Layers(
            [CrossAttentionBlock(width, num_heads=config.num_heads) for _ in range(config.num_blocks)]
        )
        self.mix: Layers[PreNormBlock] = Layers(
            [
                PreNormBlock(width, num_heads=config.num_heads, ratio=2, dropout=0.0)
                for _ in range(config.num_blocks)
            ]
        )
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, COORDINATES)
        self.presence = nn.Linear(width, SLOTS)

    @torch.no_grad()
    def fit(self, momenta_R3: Tensor) -> None:
        """Measure centre and spread of the coordinates of neutrinos with momenta (px, py, pz) in GeV."""
        values_RK = coordinates(momenta_R3.double())
        self.centre_K.copy_(values_RK.mean(0))
        self.scale_K.copy_(values_RK.std(0, correction=0).clamp(min=1e-6))

    def standardised(self, momenta: Tensor) -> Tensor:
        """Return the standardised coordinates of momenta (..., 3) in GeV."""
        return (coordinates(momenta) - self.centre_K) / self.scale_K

    def physical(self, x: Tensor) -> Tensor:
        """Return the momenta, (..., 3) in GeV, of standardised coordinates."""
        px, py, eta = (x * self.scale_K + self.centre_K).unbind(-1)
        return torch.stack((px, py, torch.hypot(px, py) * torch.sinh(eta.clamp(-10, 10))), dim=-1)

    def memory(self, features: Features, mask_BN: Tensor) -> tuple[Tensor, Tensor]:
        """Return what noised neutrinos attend to, (B, 1 + N, D), and its bias."""
        event_BD = summary(features.tokens_BND, features.pooled_BD, mask_BN)
        memory = torch.cat((event_BD[:, None].to(features.tokens_BND.dtype), features.tokens_BND), dim=1)
        return memory, key_bias(F.pad(mask_BN, (1, 0), value=True), memory.dtype)

    def predict(self, memory: tuple[Tensor, Tensor], z_BSMK: Tensor, time: Tensor) -> Tensor:
        """Return v of noised neutrinos of S solutions, (B, S, M, 3).

        Parameters
        ----------
        memory
            Of `memory`.
        z_BSMK
            Noised coordinates.
        time
            Of each event and solution, (B, S).
        """
        x_BND, bias = memory
        rows, solutions, slots = z_BSMK.shape[:3]
        h = self.enter(z_BSMK.to(self.enter.weight.dtype)) + self.slot_MD + self.time(time)[:, :, None]
        h = h.to(x_BND.dtype)
        nothing = h.new_zeros(1, 1, 1, slots)
        for gather, mix in zip(self.gather, self.mix, strict=True):
            h = gather(h.flatten(1, 2), x_BND, bias).view(rows * solutions, slots, -1)
            h = mix(h, nothing).view(rows, solutions, slots, -1)
        v_BSMK: Tensor = self.leave(self.norm(h))
        return v_BSMK if v_BSMK.dtype is torch.float64 else v_BSMK.float()

    def likelihood(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return logits of whether there is a neutrino, and an antineutrino, (B, 2)."""
        logits_BM: Tensor = self.presence(summary(features.tokens_BND, features.pooled_BD, mask_BN))
        return logits_BM if logits_BM.dtype is torch.float64 else logits_BM.float()

    def sample(self, features: Features, mask_BN: Tensor, noise_BSMK: Tensor, *, steps: int) -> Tensor:
        """Return the momenta, (B, S, 2, 3) in GeV, that noise turns into."""
        memory = self.memory(features, mask_BN)
        shape = noise_BSMK.shape[:2]

        def v(z: Tensor, time: Tensor) -> Tensor:
            return self.predict(memory, z, time.expand(shape))

        return self.physical(ddim(v, noise_BSMK, steps))

    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return px, py, pz (GeV) of solutions from fixed noise, and the probability of the neutrino; (B, S,
        2, 4)."""
        noise = self.noise_SMK.to(self.centre_K.dtype).expand(len(mask_BN), -1, -1, -1)
        momenta = self.sample(features, mask_BN, noise, steps=self.config.steps)
        p_BM = self.likelihood(features, mask_BN).sigmoid()
        return torch.cat((momenta, p_BM[:, None, :, None].expand_as(momenta[..., :1])), dim=-1)


def coordinates(momenta: Tensor) -> Tensor:
    """Return px, py and pseudorapidity of momenta (..., 3) in GeV."""
    px, py, pz = momenta.unbind(-1)
    pt = torch.hypot(px, py).clamp(min=1e-6)
    return torch.stack((px, py, torch.asinh(pz / pt)), dim=-1)


def point_estimate(solutions: Tensor) -> Tensor:
    """Return, for each event and neutrino, the solution that is nearest to all others; (B, M, 3).

    The median among solutions: the sum of its distances in momentum to the others is the smallest. A mean of
    solutions on both sides of an ambiguity would be none of them.

    Parameters
    ----------
    solutions
        Momenta, (B, S, M, 3).
    """
    by_slot = solutions.transpose(1, 2)
    sums_BMS = torch.cdist(by_slot, by_slot).sum(-1)
    best_BM = sums_BMS.argmin(-1)
    return by_slot.gather(2, best_BM[..., None, None].expand(-1, -1, 1, solutions.shape[-1]))[:, :, 0]
