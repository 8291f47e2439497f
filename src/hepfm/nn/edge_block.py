"""The edge convolution of ParticleNet: a small network of every pair of neighbours, and their mean."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.batchnorm import BatchNorm
from hepfm.nn.layers import Layers
from hepfm.nn.linear import Linear, linear
from hepfm.nn.neighbours import nearest_neighbours
from hepfm.nn.packing import Packing


class EdgeBlock(nn.Module):
    """``x_i <- ReLU(shortcut(x_i) + mean over K neighbours j of h(x_i, x_j - x_i))`` (1902.08570, figure 1).

    h is layers of Linear without offset, batch normalisation and ReLU. Of a row with fewer than K other
    constituents the neighbours that it lacks are vectors of zero, as in the public implementation, where
    they are padding. The first linear layer is split into what it makes of x_i and of x_j, so that no edge
    is made of the input vectors.

    Parameters
    ----------
    inputs
        Size of the input vectors.
    widths
        Output sizes of the linear layers.
    num_neighbours
        K; a constituent is not its own neighbour.
    """

    def __init__(self, inputs: int, widths: Sequence[int], *, num_neighbours: int) -> None:
        super().__init__()
        self.num_neighbours = num_neighbours
        sizes = itertools.pairwise((2 * inputs, *widths))
        self.linears: Layers[Linear] = Layers([Linear(a, b, bias=False) for a, b in sizes])
        self.norms: Layers[BatchNorm] = Layers([BatchNorm(width) for width in widths])
        same = inputs == widths[-1]
        self.shortcut = None if same else Linear(inputs, widths[-1], bias=False)
        self.shortcut_norm = None if same else BatchNorm(widths[-1])

    def forward(self, x_BNC: Tensor, points_BNP: Tensor, packing: Packing) -> Tensor:
        """Return new vectors of the constituents, (B, N, widths[-1]), zero in padding.

        Parameters
        ----------
        x_BNC
            Vectors, zero in padding.
        points_BNP
            Coordinates in which neighbours are near.
        packing
            Which are real.
        """
        x_TC, real_T = packing.pack(x_BNC), packing.real_T
        x_TKC = self._first(x_BNC, x_TC, points_BNP, packing)
        real_TK = real_T[:, None].expand(-1, self.num_neighbours)
        for layer, norm in zip((None, *list(self.linears)[1:]), self.norms, strict=True):
            x_TKC = x_TKC if layer is None else layer(x_TKC)
            x_TKC = F.relu(norm(x_TKC, real_TK))
        if self.shortcut is not None and self.shortcut_norm is not None:
            x_TC = self.shortcut_norm(self.shortcut(x_TC), real_T)
        return packing.unpack(F.relu(x_TC + x_TKC.mean(1))) * packing.mask_BN[..., None]

    def _first(self, x_BNC: Tensor, x_TC: Tensor, points_BNP: Tensor, packing: Packing) -> Tensor:
        """Return what the first linear layer makes of the edges, (T, K, widths[0])."""
        others = nearest_neighbours(points_BNP, packing, self.num_neighbours)
        own, edge = next(iter(self.linears)).weight.chunk(2, dim=1)
        edge_BNC = linear(x_BNC, edge)
        neighbour_TKC = edge_BNC.flatten(0, 1)[others.slot_TK]
        neighbour_TKC = neighbour_TKC.masked_fill(~others.mask_TK[..., None], 0.0)
        return linear(x_TC, own - edge)[:, None] + neighbour_TKC


class FusionBlock(nn.Module):
    """The vectors of all edge blocks side by side through Linear, batch normalisation and ReLU.

    Parameters
    ----------
    inputs, outputs
        Sizes of the vectors.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = Linear(inputs, outputs, bias=False)
        self.norm = BatchNorm(outputs)

    def forward(self, parts: Sequence[Tensor], packing: Packing) -> Tensor:
        """Return (B, N, outputs) of vectors (B, N, C) each, zero in padding."""
        x_TC = packing.pack(torch.cat(list(parts), dim=-1))
        x_TC = F.relu(self.norm(self.linear(x_TC), packing.real_T))
        return packing.unpack(x_TC) * packing.mask_BN[..., None]
