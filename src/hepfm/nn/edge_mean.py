"""A small network of every pair of neighbours and its mean, without normalisation: EveNet's local layers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.linear import Linear, linear
from hepfm.nn.neighbours import Neighbours
from hepfm.nn.packing import Packing


class EdgeMean(nn.Module):
    """``x_i <- mean over neighbours j of GELU(W GELU(V [x_j - x_i, x_i]))`` (2601.17126, evenet-core).

    The first linear layer is split into what it makes of x_i and of x_j, so that no edge is made of the input
    vectors. The mean is over real neighbours: a constituent that has none gets zeros.

    Parameters
    ----------
    inputs, width
        Sizes of the vectors before and after.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first = Linear(2 * inputs, 2 * width)
        self.second = Linear(2 * width, width)

    def forward(self, x_TC: Tensor, neighbours: Neighbours, packing: Packing) -> Tensor:
        """Return new vectors of packed constituents, (T, D)."""
        difference, own = self.first.weight.chunk(2, dim=1)
        edge_SC = packing.unpack(linear(x_TC, difference)).flatten(0, 1)
        centre_TC = linear(x_TC, own - difference, self.first.bias)
        hidden_TKC = F.gelu(centre_TC[:, None] + edge_SC[neighbours.slot_TK])
        out_TKD = F.gelu(self.second(hidden_TKC))
        real_TK = neighbours.mask_TK.to(out_TKD.dtype)
        weight_TK = real_TK / real_TK.sum(1, keepdim=True).clamp(min=1)
        return (out_TKD * weight_TK[..., None]).sum(1)
