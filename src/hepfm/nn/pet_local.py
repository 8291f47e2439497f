"""Local features of the Point Edge Transformer: a transformer over the nearest neighbours (2510.24066)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepfm.nn.attention import key_bias
from hepfm.nn.massless_pairs import NUM_PAIR_FEATURES, massless_pair_features
from hepfm.nn.neighbours import nearest_neighbours
from hepfm.nn.packing import Packing
from hepfm.nn.pet_blocks import PetBlock, TanhFeedForward


class EdgeFeatures(nn.Module):
    """Differences to the K nearest neighbours in (deta, dphi), and pair features if wanted.

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
        found = nearest_neighbours(x_BNF[..., :2], packing, self.num_neighbours)
        x_SF = x_BNF.flatten(0, 1)
        centre_TKF = packing.pack(x_BNF)[:, None].expand(-1, self.num_neighbours, -1)
        neighbour_TKF = x_SF[found.slot_TK]
        edges = [centre_TKF - neighbour_TKF]
        if self.pairs:
            columns = (part.permute(2, 0, 1) for part in (centre_TKF, neighbour_TKF))
            edges.append(massless_pair_features(*columns))
        return torch.cat(edges, dim=-1) * found.mask_TK[..., None], found.mask_TK


class LocalTransformer(nn.Module):
    """Embedded edges through transformer blocks of their own, then their mean.

    Parameters
    ----------
    edges
        Features of edges.
    width
        D.
    blocks
        The blocks.
    """

    def __init__(self, edges: EdgeFeatures, *, embedding: TanhFeedForward, blocks: list[PetBlock]) -> None:
        super().__init__()
        self.edges = edges
        self.embedding = embedding
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x_BNF: Tensor, packing: Packing) -> Tensor:
        """Return one vector per packed constituent, (T, D); zero for one without neighbours."""
        edges_TKE, mask_TK = self.edges(x_BNF, packing)
        x_TKD = self.embedding(edges_TKE)
        bias = key_bias(mask_TK, x_TKD.dtype)
        for block in self.blocks:
            x_TKD = block(x_TKD, bias)
        real_TK1 = mask_TK[..., None].to(x_TKD.dtype)
        mean_TD: Tensor = (x_TKD * real_TK1).sum(1) / real_TK1.sum(1).clamp(min=1)
        return mean_TD
