"""Pair features of massless constituents and the attention bias made from them (2510.24066)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.attention import key_bias
from hepfm.nn.linear import Linear
from hepfm.nn.packing import rows_to_add
from hepfm.nn.pairs import PairIndex
from hepfm.nn.tracing import is_traced

NUM_PAIR_FEATURES = 3


def massless_pair_features(first_CM: Tensor, second_CM: Tensor) -> Tensor:
    """Return ln m^2, ln dR and ln kT of pairs, shape (M, 3), in GeV.

    dR uses the pseudorapidity, and kT is the softer transverse momentum times dR. As in the public package a
    logarithm whose argument is zero (a constituent with itself, or with one of the same direction) is 0.

    Parameters
    ----------
    first_CM, second_CM
        Columns deta, dphi and ln(pt/GeV) of the two constituents, azimuths less than pi apart. Any further
        columns are not read.
    """
    deta, dphi = first_CM[0] - second_CM[0], first_CM[1] - second_CM[1]
    opening = deta.cosh() - dphi.cos()
    distance2 = deta.square() + dphi.square()
    total = math.log(2) + first_CM[2] + second_CM[2]
    log_mass2 = torch.where(opening > 0, total + _log(opening), 0.0)
    log_distance = 0.5 * _log(distance2)
    softer = torch.minimum(first_CM[2], second_CM[2])
    log_kt = torch.where(distance2 > 0, softer + log_distance, 0.0)
    return torch.stack((log_mass2, log_distance, log_kt), dim=-1)


def _log(x: Tensor) -> Tensor:
    """Return ln x, and 0 with gradient 0 where x is not positive."""
    return torch.where(x > 0, x, 1.0).log()


class MasslessPairBias(nn.Module):
    """Map the pair features of real pairs to one attention bias per head, computed once for all blocks.

    Parameters
    ----------
    hidden
        Size of the hidden layer.
    num_heads
        H.
    """

    def __init__(self, hidden: int, *, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.expand = Linear(NUM_PAIR_FEATURES, hidden)
        self.contract = Linear(hidden, num_heads)

    def forward(self, x_BNC: Tensor, mask_BN: Tensor, tokens: int) -> Tensor:
        """Return the attention bias of tokens and constituents, (B, H, L + N, L + N).

        It is zero where one side is a token; padded keys have the logit of no weight.

        Parameters
        ----------
        x_BNC
            Columns deta, dphi and ln(pt/GeV) of the constituents, then any others.
        mask_BN
            Boolean, True = real.
        tokens
            L, number of tokens in front of the constituents.
        """
        pairs = PairIndex.of(mask_BN)
        table_CS = x_BNC.flatten(0, 1).T.contiguous()
        x_MC = massless_pair_features(
            table_CS.index_select(1, pairs.i_M), table_CS.index_select(1, pairs.j_M)
        )
        count = x_MC.shape[0]
        x_MC = x_MC if is_traced() else F.pad(x_MC, (0, 0, 0, rows_to_add(count)))
        bias_MH = self.contract(F.gelu(self.expand(x_MC)))
        return self._spread(bias_MH[:count], pairs, mask_BN, tokens)

    def _spread(self, bias_MH: Tensor, pairs: PairIndex, mask_BN: Tensor, tokens: int) -> Tensor:
        rows, num = mask_BN.shape
        size = tokens + num
        row_M = pairs.i_M // num
        i_M, j_M = pairs.i_M - row_M * num + tokens, pairs.j_M - row_M * num + tokens
        start_M = row_M * size
        keys = key_bias(F.pad(mask_BN, (tokens, 0), value=True), bias_MH.dtype)
        bias = keys.permute(0, 1, 3, 2).expand(-1, size, -1, self.num_heads).flatten(0, 2)
        bias = bias.index_copy(0, (start_M + i_M) * size + j_M, bias_MH)
        bias = bias.index_copy(0, (start_M + j_M) * size + i_M, bias_MH)
        return bias.view(rows, size, size, self.num_heads).permute(0, 3, 1, 2).contiguous()
