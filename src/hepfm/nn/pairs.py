"""Pair features of constituents and the attention bias made from them (2202.03772, equation 3)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.attention import masked_logit
from hepfm.nn.batchnorm import BatchNorm, LinearBatchNorm
from hepfm.nn.packing import rows_to_add
from hepfm.nn.tracing import is_traced

NUM_PAIR_FEATURES = 4
_FLOOR = 1e-8
"""Smallest argument of the logarithms in the public implementation (weaver-core)."""


@dataclass(frozen=True)
class PairIndex:
    """The real pairs (i, j <= i) of a batch, row after row: M pairs, each once, the diagonal included.

    Attributes
    ----------
    i_M, j_M
        Positions in the flattened batch of constituents, row * N + constituent.
    ij_M, ji_M
        Positions in the flattened (B, N, N).
    """

    i_M: Tensor
    j_M: Tensor
    ij_M: Tensor
    ji_M: Tensor

    @classmethod
    def of(cls, mask_BN: Tensor) -> PairIndex:
        """Return the real pairs of a mask."""
        length = mask_BN.shape[1]
        position = torch.arange(length, device=mask_BN.device)
        lower_NN = position[:, None] >= position[None, :]
        real_BNN = mask_BN[:, :, None] & mask_BN[:, None, :] & lower_NN
        row, i, j = real_BNN.nonzero(as_tuple=True)
        start = row * length
        return cls(start + i, start + j, (start + i) * length + j, (start + j) * length + i)


@torch.no_grad()
def pair_features(p4_BN4: Tensor, pairs: PairIndex, *, massless: bool = False) -> Tensor:
    """Return ln kT, ln z, ln dR and ln m^2 of pairs, shape (M, 4), in GeV; no gradient reaches the momenta.

    dR uses the rapidity. The order of operations in single precision is that of the public implementation, so
    that nearly massless pairs round alike.

    Parameters
    ----------
    p4_BN4
        (E, px, py, pz) in GeV.
    pairs
        Which pairs.
    massless
        Whether constituents are known to have no mass. The squared mass of a pair then follows from the angle
        between the two: as the difference of squares it would be rounding wherever they coincide, as those of
        equal codes do, and its logarithm another number on another machine.
    """
    energy, px, py, pz = p4_BN4.reshape(-1, 4).T
    pt = (px.square() + py.square()).sqrt()
    rapidity = 0.5 * torch.log(1 + (2 * pz) / (energy - pz).clamp(min=1e-20))
    table = torch.stack((energy, px, py, pz, pt, rapidity, torch.atan2(py, px)))
    first, second = table.index_select(1, pairs.i_M), table.index_select(1, pairs.j_M)
    dphi = (first[6] - second[6] + math.pi) % (2 * math.pi) - math.pi
    drapidity = first[5] - second[5]
    distance = (drapidity.square() + dphi.square()).sqrt()
    if massless:
        # cosh - cos, without the difference of two numbers near 1.
        opening = 2 * ((0.5 * drapidity).sinh().square() + (0.5 * dphi).sin().square())
        mass2 = 2 * first[4] * second[4] * opening
    else:
        total = first[:4] + second[:4]
        mass2 = total[0].square() - (total[1].square() + total[2].square() + total[3].square())
    softer = torch.minimum(first[4], second[4])
    arguments = (softer * distance, softer / (first[4] + second[4]).clamp(min=_FLOOR), distance, mass2)
    return torch.stack(arguments, dim=-1).clamp(min=_FLOOR).log()


class PairEmbedding(nn.Module):
    """Map the pair features of real pairs to one attention bias per head, computed once for all blocks.

    Parameters
    ----------
    widths
        Sizes of the hidden layers, 64, 64, 64 in the paper.
    num_heads
        H.
    activation
        Whether the last layer, that of the H biases, ends in GELU like the hidden ones.
    """

    def __init__(self, widths: Sequence[int], *, num_heads: int, activation: bool = True) -> None:
        super().__init__()
        self.activation = activation
        sizes = [NUM_PAIR_FEATURES, *widths, num_heads]
        self.num_heads = num_heads
        self.norm = BatchNorm(NUM_PAIR_FEATURES)
        self.layers = nn.ModuleList(
            LinearBatchNorm(inputs, outputs) for inputs, outputs in itertools.pairwise(sizes)
        )

    def forward(self, p4_BN4: Tensor, mask_BN: Tensor, *, massless: bool = False) -> Tensor:
        """Return the attention bias, (B, H, N, N); padded keys have a logit that gives them no weight.

        For `massless` see `pair_features`.
        """
        pairs = PairIndex.of(mask_BN)
        x_MC = pair_features(p4_BN4, pairs, massless=massless)
        count = x_MC.shape[0]
        x_MC = self.norm(x_MC, torch.ones_like(pairs.i_M, dtype=torch.bool))
        x_MC = x_MC if is_traced() else F.pad(x_MC, (0, 0, 0, rows_to_add(count)))
        for number, layer in enumerate(self.layers, start=1):
            x_MC = layer(x_MC, count)
            x_MC = F.gelu(x_MC) if self.activation or number < len(self.layers) else x_MC
        return self._spread(x_MC[:count], pairs, mask_BN)

    def _spread(self, x_MH: Tensor, pairs: PairIndex, mask_BN: Tensor) -> Tensor:
        rows, length = mask_BN.shape
        bias = x_MH.new_full((rows * length * length, self.num_heads), masked_logit(x_MH.dtype))
        bias = bias.index_copy(0, pairs.ij_M, x_MH).index_copy(0, pairs.ji_M, x_MH)
        return bias.view(rows, length, length, self.num_heads).permute(0, 3, 1, 2).contiguous()
