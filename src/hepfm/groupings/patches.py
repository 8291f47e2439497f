"""Patches as tokens: centres far from each other, each with its nearest constituents (2502.03933)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import pydantic
import torch
from torch import Tensor

from hepfm.core.config import Config as BaseConfig
from hepfm.groupings.base import Grouping, Groups
from hepfm.nn.point_net import PointNet


class PatchesConfig(BaseConfig):
    """Options of `Patches`. Number and size of HEP-JEPA's patches are not public.

    Attributes
    ----------
    max_groups
        Number of patches; a row of fewer constituents has one for each of them.
    members
        Constituents of a patch, the centre among them; a row of fewer has all of them in each patch.
    """

    max_groups: pydantic.PositiveInt = 16
    members: pydantic.PositiveInt = 8


class Patches(Grouping):
    """Farthest-point sampling in eta and phi, from the hardest constituent on, then nearest neighbours.

    Patches overlap, and a constituent may be in none. They are made of the constituents that are shown.
    """

    Config: ClassVar[type[BaseConfig]] = PatchesConfig
    config: PatchesConfig

    def __init__(self, config: PatchesConfig, *, width: int, feature_names: Sequence[str]) -> None:
        super().__init__(config, width=width, feature_names=feature_names)
        self.embedding = PointNet(width)

    @torch.no_grad()
    def assign(self, features_BNF: Tensor, mask_BN: Tensor, subjets: Mapping[str, Tensor]) -> Groups:
        """Return the patches."""
        point_BN2 = features_BNF[..., self.axes]
        index_BG = farthest_points(point_BN2, mask_BN, self.config.max_groups)
        groups = index_BG.shape[1]
        mask_BG = torch.arange(groups, device=mask_BN.device) < mask_BN.sum(1, keepdim=True)
        centre_BG2 = point_BN2.gather(1, index_BG[..., None].expand(-1, -1, 2)) * mask_BG[..., None]
        # By differences, not by a matrix product, which rounds: coincident points must be at distance zero.
        distance_BGN = (centre_BG2[:, :, None] - point_BN2[:, None]).square().sum(-1)
        distance_BGN = distance_BGN.masked_fill(~mask_BN[:, None], torch.inf)
        members = min(self.config.members, mask_BN.shape[1])
        distance_BGK, member_BGK = distance_BGN.topk(members, dim=-1, largest=False)
        real_S = (distance_BGK.isfinite() & mask_BG[..., None]).flatten().nonzero()[:, 0]
        row_B11 = torch.arange(len(mask_BN), device=mask_BN.device)[:, None, None]
        constituent_T = (row_B11 * mask_BN.shape[1] + member_BGK).flatten()[real_S]
        return Groups(constituent_T, real_S // members, mask_BG, centre_BG2)

    def forward(self, h_BND: Tensor, features_BNF: Tensor, groups: Groups) -> Tensor:
        """Return a vector of each patch; see `Grouping.forward`."""
        embedded: Tensor = self.embedding(
            h_BND, features_BNF[..., self.axes], groups.constituent_T, groups.group_T, groups.centre_BG2
        )
        return embedded


def farthest_points(point_BNC: Tensor, mask_BN: Tensor, num: int) -> Tensor:
    """Return positions of points that are far from each other, int64 (B, G), with G = `num` or N if smaller.

    The first is the first of the row; each further one is the farthest from all before it, and never one of
    them. A row of fewer points has arbitrary positions beyond them.
    """
    nearest_BN = torch.full(mask_BN.shape, torch.inf, device=mask_BN.device, dtype=point_BNC.dtype)
    nearest_BN = nearest_BN.masked_fill(~mask_BN, -2.0)
    chosen_B = torch.zeros(len(mask_BN), dtype=torch.int64, device=mask_BN.device)
    chosen = []
    for _ in range(min(num, mask_BN.shape[1])):
        chosen.append(chosen_B)
        centre_B1C = point_BNC.gather(1, chosen_B[:, None, None].expand(-1, 1, point_BNC.shape[-1]))
        distance_BN = (point_BNC - centre_B1C).square().sum(-1)
        nearest_BN = torch.minimum(nearest_BN, distance_BN).scatter(1, chosen_B[:, None], -1.0)
        chosen_B = nearest_BN.argmax(1)
    return torch.stack(chosen, dim=1)
