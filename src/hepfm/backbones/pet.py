"""Point Edge Transformer, version 2, the network of OmniLearned (2510.24066)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from hepfm.backbones.base import Backbone, Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.data.feature_names import DISPLACEMENT, IDENTITY, KINEMATICS
from hepfm.nn.attention import key_bias
from hepfm.nn.dynamic_tanh import DynamicTanh
from hepfm.nn.layers import Layers
from hepfm.nn.massless_pairs import MasslessPairBias
from hepfm.nn.packing import Packing
from hepfm.nn.pet_blocks import PetBlock, TanhFeedForward, init_pet
from hepfm.nn.pet_identity import ParticleTypes
from hepfm.nn.pet_local import EdgeFeatures, LocalTransformer


class PetConfig(Config):
    """Options of `Pet`; the defaults are the published size "small".

    Attributes
    ----------
    width
        D, a multiple of `num_heads`.
    depth, local_depth
        Number of blocks of the trunk, and of those over the neighbours of every constituent.
    num_heads
        H.
    feedforward_ratio
        Hidden size of the feed-forward parts over D.
    num_registers
        Learned tokens put in front of the constituents.
    num_neighbours
        K, neighbours of a constituent in (deta, dphi).
    interaction
        Whether pair features bias the attention of the trunk.
    local_interaction
        Whether pair features are among the features of the edges to neighbours.
    dropout
        Rate on attention weights and hidden activations; 0 in all that is published.
    """

    width: PositiveInt = 128
    depth: PositiveInt = 8
    local_depth: PositiveInt = 2
    num_heads: PositiveInt = 8
    feedforward_ratio: PositiveInt = 2
    num_registers: PositiveInt = 4
    num_neighbours: PositiveInt = 10
    interaction: bool = True
    local_interaction: bool = True
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> PetConfig:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        return self


class Pet(Backbone):
    """The Point Edge Transformer of OmniLearned.

    It reads columns by name and in physical units: deta, dphi, log_pt, log_energy; charge and type, and
    impact parameters, if there are such columns. Other columns and four-momenta are not read. The
    sizes are those that are published as micro (of 2606.14870), small, medium and large.

    `registers_BKD` are the class tokens, then the condition's tokens, as they leave the trunk; `pooled_BD` is
    the mean of the class tokens.

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of a constituent.
    """

    Config: ClassVar[type[Config]] = PetConfig
    supports = frozenset({"prefix", "embedding"})
    own_parts = frozenset({"input_norm", "embedding", "identity", "displacement", "local"})
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {"width": 32, "depth": 3, "local_depth": 2, "num_heads": 4},
        "s": {},
        "m": {"width": 512, "depth": 12, "local_depth": 2, "num_heads": 16},
        "l": {"width": 1024, "depth": 28, "local_depth": 4, "num_heads": 32},
    }

    def __init__(self, config: PetConfig, *, feature_names: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.width = width = config.width
        self.kinematics = _columns(KINEMATICS, feature_names, needed=True)
        self.types = _columns(IDENTITY, feature_names)
        self.tracks = _columns(DISPLACEMENT, feature_names)
        hidden, dropout = config.feedforward_ratio * width, config.dropout
        self.input_norm: DynamicTanh | None = DynamicTanh(len(KINEMATICS))
        self.embedding: nn.Module = TanhFeedForward(len(KINEMATICS), hidden, width)
        self.identity = ParticleTypes(width) if self.types else None
        self.displacement = (
            TanhFeedForward(len(DISPLACEMENT), hidden, width, bias=False) if self.tracks else None
        )
        edges = EdgeFeatures(
            len(KINEMATICS), num_neighbours=config.num_neighbours, pairs=config.local_interaction
        )
        self.local = LocalTransformer(
            edges,
            embedding=TanhFeedForward(edges.num_outputs, hidden, width, dropout=dropout),
            blocks=self._blocks(config.local_depth),
        )
        self.pairs = MasslessPairBias(2 * width, num_heads=config.num_heads) if config.interaction else None
        self.registers = nn.Parameter(torch.empty(1, config.num_registers, width))
        self.blocks: Layers[PetBlock] = Layers(self._blocks(config.depth))
        self.norm = DynamicTanh(width)
        init_pet(self)
        nn.init.trunc_normal_(self.registers, std=0.02)

    def _blocks(self, depth: int) -> list[PetBlock]:
        config = self.config
        return [
            PetBlock(
                config.width,
                num_heads=config.num_heads,
                ratio=config.feedforward_ratio,
                dropout=config.dropout,
            )
            for _ in range(depth)
        ]

    def encode(
        self,
        h_BND: Tensor,
        mask_BN: Tensor,
        p4_BN4: Tensor | None = None,
        *,
        physical_BNF: Tensor | None = None,
        prefix_BKD: Tensor | None = None,
        causal: bool = False,
    ) -> Features:
        """Return constituents and class tokens; see `Backbone.encode`. Four-momenta are not used."""
        first_BLD = self.registers.expand(h_BND.shape[0], -1, -1)
        if prefix_BKD is not None:
            first_BLD = torch.cat((first_BLD, prefix_BKD), dim=1)
        num = first_BLD.shape[1]
        seen = Packing.of(F.pad(mask_BN, (num, 0), value=True))
        x_TD = seen.pack(torch.cat((first_BLD, h_BND), dim=1))
        if self.pairs is None:
            bias = key_bias(seen.mask_BN, x_TD.dtype)
        else:
            assert physical_BNF is not None
            bias = self.pairs(physical_BNF[..., self.kinematics], mask_BN, num)
        for block in self.blocks:
            x_TD = block.packed(x_TD, seen, bias)
        x_BMD = seen.unpack(self.norm(x_TD))
        registers_BLD = x_BMD[:, :num]
        pooled_BD = registers_BLD[:, : self.config.num_registers].mean(1)
        return Features(x_BMD[:, num:] * mask_BN[..., None], pooled_BD, registers_BLD)

    def embed(self, x_BNF: Tensor, mask_BN: Tensor, *, physical_BNF: Tensor | None = None) -> Tensor:
        """Return each constituent's vector, local features included; see `Backbone.embed`."""
        physical_BNF = x_BNF if physical_BNF is None else physical_BNF
        kinematics_BN4 = physical_BNF[..., self.kinematics]
        packing = Packing.of(mask_BN)
        local_TD = self.local(kinematics_BN4, packing)
        if self.input_norm is None:
            return packing.unpack(self.embedding(packing.pack(x_BNF)) + local_TD)
        x_TF = packing.pack(physical_BNF)
        x_TD = self.embedding(x_TF[:, self.kinematics], self.input_norm) + local_TD
        if self.identity is not None:
            x_TD = x_TD + self.identity(x_TF[:, self.types])
        if self.displacement is not None:
            x_TD = x_TD + self.displacement(x_TF[:, self.tracks])
        return packing.unpack(x_TD)

    def replace_embedding(self, embedding: nn.Module) -> None:
        """Put another module in place of the networks of kinematics, types and impact parameters.

        Local features stay. The module is given the input of `embed`, standardised as the network does it.
        """
        self.embedding = embedding
        self.input_norm = self.identity = self.displacement = None

    def layers(self) -> list[list[nn.Parameter]]:
        """Return everything before the trunk, each block, then the last norm."""
        later = {id(parameter) for part in (self.blocks, self.norm) for parameter in part.parameters()}
        first = [parameter for parameter in self.parameters() if id(parameter) not in later]
        return [first, *(list(block.parameters()) for block in self.blocks), list(self.norm.parameters())]


def _columns(names: Sequence[str], feature_names: Sequence[str], *, needed: bool = False) -> list[int]:
    """Return the positions of a group of columns; none if the group is absent and not needed."""
    missing = [name for name in names if name not in feature_names]
    if missing and (needed or len(missing) < len(names)):
        raise IncompatibleError(
            f"the pet backbone reads {', '.join(names)} together, but the features lack {', '.join(missing)} "
            f"(they are {', '.join(feature_names)}); use the feature set pet, petpid or petfull"
        )
    return [] if missing else [feature_names.index(name) for name in names]
