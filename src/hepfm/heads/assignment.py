"""Assignment of objects to resonances: symmetric attention of the daughters (SPANet, 2106.03898; EveNet)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.heads.base import Head, Level
from hepfm.nn.attention import key_bias
from hepfm.nn.gated import GatedBlock, GatedLayer
from hepfm.nn.layers import Layers
from hepfm.nn.packing import Packing
from hepfm.nn.pooling import summary
from hepfm.physics.topology import Branch, Topology

_AXES = "ijkl"


class AssignmentHeadConfig(Config):
    """Options of `AssignmentHead`; sizes are those of 2601.17126 (public configuration).

    Attributes
    ----------
    resonances
        Daughters by the name of the resonance: ``{t: [b, q, q], tbar: [b, q, q]}``; daughters of one name are
        interchangeable.
    alike
        Groups of resonances that nothing tells apart, which share a distribution: ``[[t, tbar]]``.
    num_heads
        H, a divisor of the backbone's width.
    num_layers, num_blocks
        Gated layers, and gated blocks of attention, of each branch.
    dropout
        Rate on attention weights and hidden activations.
    """

    resonances: dict[str, tuple[str, ...]]
    alike: tuple[tuple[str, ...], ...] = ()
    num_heads: PositiveInt = 4
    num_layers: PositiveInt = 1
    num_blocks: PositiveInt = 1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1

    @model_validator(mode="after")
    def _check(self) -> AssignmentHeadConfig:
        Topology.of(self.resonances, self.alike)
        return self

    @property
    def topology(self) -> Topology:
        """What is declared."""
        return Topology.of(self.resonances, self.alike)


@dataclass(frozen=True)
class BranchLogits:
    """What is said of the resonances of a branch.

    Attributes
    ----------
    joint
        A logit of each choice of an object for each daughter, (B, N, ..., N), the same for interchangeable
        daughters; those that use an object twice, or padding, mean nothing.
    detection_BR
        Logits of the number of resonances of the branch whose daughters are all there, from 0 on.
    """

    joint: Tensor
    detection_BR: Tensor


class AssignmentHead(Head):
    """Joint logits of the daughters of each branch, and how many of its resonances are complete.

    Each branch has gated layers and blocks of its own over the event's summary and its objects; a linear
    layer for each daughter gives vectors ``y``, and the logit of a choice is ``sum over channels of y_i y_j
    y_k / sqrt(D)``, averaged over the orders of interchangeable daughters.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    num_outputs
        Not used: the number of roles.
    """

    Config: ClassVar[type[Config]] = AssignmentHeadConfig
    level: ClassVar[Level] = "assignment"

    def __init__(self, config: AssignmentHeadConfig, *, width: int, num_outputs: int) -> None:
        super().__init__()
        if width % config.num_heads:
            raise IncompatibleError(
                f"head assignment: the backbone's width {width} is not a multiple of num_heads "
                f"{config.num_heads}; set num_heads to a divisor"
            )
        self.topology = config.topology
        self.branches: Layers[BranchNetwork] = Layers(
            [BranchNetwork(config, branch, width=width) for branch in self.topology.branches]
        )

    def parts(self, features: Features, mask_BN: Tensor) -> list[BranchLogits]:
        """Return what is said of each branch."""
        event_BD = summary(features.tokens_BND, features.pooled_BD, mask_BN)
        return [branch(event_BD, features.tokens_BND, mask_BN) for branch in self.branches]

    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return detection and joint logits of one branch after the other, side by side, (B, M)."""
        parts = self.parts(features, mask_BN)
        return torch.cat([x.flatten(1) for part in parts for x in (part.detection_BR, part.joint)], dim=1)


class BranchNetwork(nn.Module):
    """The part of `AssignmentHead` that is a branch's own.

    Parameters
    ----------
    config
        Options of the head.
    branch
        What is to be found.
    width
        D.
    """

    def __init__(self, config: AssignmentHeadConfig, branch: Branch, *, width: int) -> None:
        super().__init__()
        dropout = config.dropout
        self.branch = branch
        self.layers: Layers[GatedLayer] = Layers(
            [GatedLayer(width, width, dropout=dropout) for _ in range(config.num_layers)]
        )
        self.blocks: Layers[GatedBlock] = Layers(
            [GatedBlock(width, num_heads=config.num_heads, dropout=dropout) for _ in range(config.num_blocks)]
        )
        self.daughters: Layers[nn.Linear] = Layers([nn.Linear(width, width) for _ in branch.daughters])
        for daughter in self.daughters:
            nn.init.xavier_uniform_(daughter.weight)
        self.detection = nn.Sequential(
            GatedLayer(width, width, dropout=dropout), nn.Linear(width, len(branch.resonances) + 1)
        )

    def forward(self, event_BD: Tensor, x_BND: Tensor, mask_BN: Tensor) -> BranchLogits:
        """Return the logits; in single precision at least."""
        seen = Packing.of(F.pad(mask_BN, (1, 0), value=True))
        x_TD = seen.pack(torch.cat((event_BD[:, None].to(x_BND.dtype), x_BND), dim=1))
        for layer in self.layers:
            x_TD = layer(x_TD)
        bias = key_bias(seen.mask_BN, x_TD.dtype)
        for block in self.blocks:
            x_TD = block.packed(x_TD, seen, bias)
        x_BMD = seen.unpack(x_TD)
        factors = [layer(x_BMD[:, 1:]) * mask_BN[..., None] for layer in self.daughters]
        detection_BR = self.detection(x_BMD[:, 0])
        with torch.autocast(x_BMD.device.type, enabled=False):
            joint = symmetrised(_product([_single(factor) for factor in factors]), self.branch)
        return BranchLogits(joint, _single(detection_BR))


def symmetrised(joint: Tensor, branch: Branch) -> Tensor:
    """Return the mean over the orders of interchangeable daughters, of the shape of `joint`."""
    orders = [joint.permute(0, *(1 + k for k in order)) for order in branch.permutations]
    return torch.stack(orders).mean(0) if len(orders) > 1 else joint


def _product(factors: Sequence[Tensor]) -> Tensor:
    axes = _AXES[: len(factors)]
    formula = ",".join(f"b{axis}d" for axis in axes) + f"->b{axes}"
    return torch.einsum(formula, *factors) * factors[0].shape[-1] ** -0.5


def _single(x: Tensor) -> Tensor:
    return x if x.dtype is torch.float64 else x.float()
