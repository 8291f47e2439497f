"""Dynamic edge convolutions: each constituent takes from its nearest neighbours in the space of its
features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Backbone, Features
from hepfm.core.config import Config
from hepfm.nn.layers import Layers
from hepfm.nn.neighbours import nearest_neighbours
from hepfm.nn.packing import Packing
from hepfm.nn.precision import at_least_single


class EdgeConvConfig(Config):
    """Options of `EdgeConv`; the defaults are RS3L's (2403.07066).

    Attributes
    ----------
    width
        D.
    depth
        Number of convolutions.
    num_neighbours
        K, neighbours of a constituent, itself among them.
    dropout
        Rate on what a convolution returns; 0 in RS3L.
    """

    width: PositiveInt = 128
    depth: PositiveInt = 3
    num_neighbours: Annotated[int, Field(ge=2)] = 24
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class DynamicEdgeConv(nn.Module):
    """One edge convolution (1801.07829): ``x_i <- max over neighbours j of ELU(W [x_i, x_j - x_i] + b)``.

    The linear layer is split into what it makes of x_i and of x_j, and the maximum is taken before the ELU,
    which rises everywhere: the same numbers, without a vector for every edge.

    Parameters
    ----------
    width
        D.
    num_neighbours
        K, the constituent itself among them.
    """

    def __init__(self, width: int, *, num_neighbours: int) -> None:
        super().__init__()
        self.num_neighbours = num_neighbours
        self.linear = nn.Linear(2 * width, width)

    def forward(self, x_BND: Tensor, packing: Packing) -> Tensor:
        """Return new vectors of the constituents, (B, N, D), zero in padding."""
        others = nearest_neighbours(x_BND, packing, self.num_neighbours - 1)
        own_DD, edge_DD = self.linear.weight.chunk(2, dim=1)
        centre_TD = F.linear(packing.pack(x_BND), own_DD - edge_DD, self.linear.bias)
        edge_BND = F.linear(x_BND, edge_DD)
        neighbour_TKD = edge_BND.flatten(0, 1)[others.slot_TK]
        neighbour_TKD = neighbour_TKD.masked_fill(~others.mask_TK[..., None], -torch.inf)
        largest_TD = torch.maximum(neighbour_TKD.amax(1), packing.pack(edge_BND))
        return packing.unpack(F.elu(centre_TD + largest_TD)) * packing.mask_BN[..., None]


class EdgeConv(Backbone):
    """The network of RS3L (2403.07066): two linear layers, dynamic edge convolutions, the sum over
    constituents.

    `pooled_BD` is the sum of the last convolution's vectors. With 15 features it has 117,248 parameters;
    RS3L's 128,904 are those with a projector of sizes 64, 32, 32 and 8 (`hepfm.objectives.projector`).

    It always works in single precision: neighbours are those of the vectors that the layer before makes, and
    rounded vectors have others.

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of a constituent.
    """

    Config: ClassVar[type[Config]] = EdgeConvConfig
    supports = frozenset({"placeholder", "embedding"})
    own_parts = frozenset({"embedding"})
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {"width": 32, "depth": 2, "num_neighbours": 8},
        "s": {},
        "m": {"width": 256, "depth": 4},
    }

    def __init__(self, config: EdgeConvConfig, *, feature_names: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.width = width = config.width
        self.embedding: nn.Module = nn.Sequential(
            nn.Linear(len(feature_names), width), nn.ELU(), nn.Linear(width, width), nn.ELU()
        )
        self.convolutions: Layers[DynamicEdgeConv] = Layers(
            [DynamicEdgeConv(width, num_neighbours=config.num_neighbours) for _ in range(config.depth)]
        )
        self.dropout = nn.Dropout(config.dropout)

    def embed(self, x_BNF: Tensor, mask_BN: Tensor, *, physical_BNF: Tensor | None = None) -> Tensor:
        """Return each constituent's vector; see `Backbone.embed`."""
        with torch.autocast(x_BNF.device.type, enabled=False):
            h_BND: Tensor = self.embedding(at_least_single(x_BNF))
        return h_BND

    def replace_embedding(self, embedding: nn.Module) -> None:
        """Put another module in place of the embedding."""
        self.embedding = embedding

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
        """Return the convolved constituents and their sum; see `Backbone.encode`."""
        packing = Packing.of(mask_BN)
        x_BND = at_least_single(h_BND) * mask_BN[..., None]
        with torch.autocast(h_BND.device.type, enabled=False):
            for convolution in self.convolutions:
                x_BND = self.dropout(convolution(x_BND, packing))
        return Features(x_BND, x_BND.sum(1))

    def layers(self) -> list[list[nn.Parameter]]:
        """Return the embedding, then each convolution."""
        return [list(part.parameters()) for part in (self.embedding, *self.convolutions)]
