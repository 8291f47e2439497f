"""Local features of the Point Edge Transformer: a transformer over the nearest neighbours (2510.24066)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepfm.nn.attention import key_bias, masked_logit
from hepfm.nn.layers import Layers
from hepfm.nn.massless_pairs import NUM_PAIR_FEATURES, massless_pair_features
from hepfm.nn.neighbours import nearest_neighbours
from hepfm.nn.packing import Packing
from hepfm.nn.pet_blocks import PetBlock, TanhFeedForward
from hepfm.nn.tracing import is_traced

_TOGETHER = 2
"""Sequences of neighbours that attention handles as one: longer sequences are faster on a CPU."""


class EdgeFeatures(nn.Module):
    """Differences to the K nearest neighbours in (deta, dphi), and optionally pair features.

    Parameters
    ----------
    num_features
        F, the kinematic columns deta, dphi, ln(pt/GeV) and any others.
    num_neighbours
        K.
    pairs
        Whether edges have pair features beside the differences of the columns.
    """

    def __init__(self, num_features: int, *, num_neighbours: int, pairs: bool) -> None:
        super().__init__()
        self.num_neighbours = num_neighbours
        self.pairs = pairs
        self.num_outputs = num_features + (NUM_PAIR_FEATURES if pairs else 0)

    def forward(self, x_BNF: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        """Return features of the edges (T, K, E), constituent minus neighbour, and which are real (T, K)."""
        neighbours = nearest_neighbours(x_BNF[..., :2], packing, self.num_neighbours)
        x_SF = x_BNF.flatten(0, 1)
        centre_TKF = packing.pack(x_BNF)[:, None].expand(-1, self.num_neighbours, -1)
        neighbour_TKF = x_SF[neighbours.slot_TK]
        edges = [centre_TKF - neighbour_TKF]
        if self.pairs:
            columns = (part.permute(2, 0, 1) for part in (centre_TKF, neighbour_TKF))
            edges.append(massless_pair_features(*columns))
        return torch.cat(edges, dim=-1) * neighbours.mask_TK[..., None], neighbours.mask_TK


class LocalTransformer(nn.Module):
    """Embedded edges through separate transformer blocks, then their mean.

    Parameters
    ----------
    edges
        Features of edges.
    embedding
        Their embedding.
    blocks
        The blocks, at least one.
    """

    def __init__(self, edges: EdgeFeatures, *, embedding: TanhFeedForward, blocks: list[PetBlock]) -> None:
        super().__init__()
        self.edges = edges
        self.embedding = embedding
        self.blocks: Layers[PetBlock] = Layers(blocks)

    def forward(self, x_BNF: Tensor, packing: Packing) -> Tensor:
        """Return one vector per packed constituent, (T, D); zero for one without neighbours."""
        edges_TKE, mask_TK = self.edges(x_BNF, packing)
        real_TK = mask_TK.to(x_BNF.dtype)
        mean_TK = real_TK / real_TK.sum(1, keepdim=True).clamp(min=1)
        rows, num_neighbours = mask_TK.shape
        together = 1 if is_traced() or rows % _TOGETHER else _TOGETHER
        shape = (rows // together, together * num_neighbours)
        x_TKD = self.embedding(edges_TKE)
        x_TKD = x_TKD.view(*shape, x_TKD.shape[-1])
        bias = _bias(mask_TK.view(shape), num_neighbours, x_TKD.dtype)
        *blocks, last = self.blocks
        for block in blocks:
            x_TKD = block(x_TKD, bias)
        return last.weighted_mean(x_TKD, mean_TK, bias)


def _bias(mask_UK: Tensor, length: int, dtype: torch.dtype) -> Tensor:
    """Return the attention bias of concatenated sequences of `length` edges each, (U, 1, K, K)."""
    sequence_K = torch.arange(mask_UK.shape[1], device=mask_UK.device) // length
    same_KK = sequence_K[:, None] == sequence_K
    return torch.where(same_KK, key_bias(mask_UK, dtype), masked_logit(dtype))
