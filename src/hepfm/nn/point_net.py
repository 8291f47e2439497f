"""From the points of groups to one vector per group."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.linear import Linear


class PointNet(nn.Module):
    """Small networks of each member, with the largest value of each channel between and after them.

    The patch embedding of Point-MAE (2203.06604), of embedded constituents instead of coordinates: the
    members' vectors and their places relative to the centre, their maximum beside each of them, then the
    maximum again. Members of all groups are packed; those of several groups are embedded once.

    Parameters
    ----------
    width
        D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = Linear(width, width)
        self.place = nn.Linear(2, width, bias=False)
        self.member = Linear(width, width)
        self.whole = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(
        self, h_BND: Tensor, place_BN2: Tensor, member_T: Tensor, group_T: Tensor, centre_BG2: Tensor
    ) -> Tensor:
        """Return a vector of each group, (B, G, D).

        Parameters
        ----------
        h_BND, place_BN2
            Embedded constituents and their deta and dphi.
        member_T, group_T
            Flat positions of T memberships among constituents and groups.
        centre_BG2
            deta and dphi of the groups.
        """
        rows, groups = centre_BG2.shape[:2]
        own_SD = self.own(h_BND.flatten(0, 1)) + self.place(place_BN2.flatten(0, 1))
        place_SD = self.place(centre_BG2.flatten(0, 1))
        x_TD = F.gelu(own_SD[member_T] - place_SD[group_T])
        whole_SD = self.whole(_largest(x_TD, group_T, rows * groups))
        x_TD = F.gelu(self.member(x_TD) + whole_SD[group_T])
        out_SD: Tensor = self.out(_largest(x_TD, group_T, rows * groups))
        return out_SD.view(rows, groups, -1)


def _largest(x_TD: Tensor, group_T: Tensor, groups: int) -> Tensor:
    """Return the largest value of each channel in each group, (S, D); zero in a group without members."""
    start_SD = x_TD.new_zeros(groups, x_TD.shape[1])
    index_TD = group_T[:, None].expand_as(x_TD)
    return torch.scatter_reduce(start_SD, 0, index_TD, x_TD, "amax", include_self=False)
