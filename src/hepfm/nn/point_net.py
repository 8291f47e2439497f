"""From the points of groups to one vector per group."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.nn.linear import Linear

_ROWS = 64
"""Rows that are embedded together on a CPU: the vectors of their members then stay in its cache."""


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
            Flat positions of T memberships among constituents and groups, row after row.
        centre_BG2
            deta and dphi of the groups.
        """
        rows, groups = centre_BG2.shape[:2]
        size = _ROWS if h_BND.device.type == "cpu" else max(1, rows)
        starts = list(range(0, rows, size))
        cuts = torch.searchsorted(group_T // groups, torch.tensor([*starts, rows], device=group_T.device))
        parts, first = [], 0
        for start, count in zip(starts, cuts.diff().tolist(), strict=True):
            member_C, group_C = member_T[first : first + count], group_T[first : first + count]
            first += count
            parts.append(
                self._embed(
                    h_BND[start : start + size].flatten(0, 1),
                    place_BN2[start : start + size].flatten(0, 1),
                    member_C - start * h_BND.shape[1],
                    group_C - start * groups,
                    centre_BG2[start : start + size].flatten(0, 1),
                )
            )
        if not parts:
            return h_BND.new_zeros(rows, groups, h_BND.shape[-1])
        return torch.cat(parts).view(rows, groups, -1)

    def _embed(
        self, h_SD: Tensor, place_S2: Tensor, member_T: Tensor, group_T: Tensor, centre_G2: Tensor
    ) -> Tensor:
        """Return a vector of each group, (G, D), of some rows; only constituents in a group are embedded."""
        used_S = torch.zeros(len(h_SD), dtype=torch.bool, device=h_SD.device)
        used_S[member_T] = True
        index_U = used_S.nonzero()[:, 0]
        own_UD = self.own(h_SD[index_U]).add_(self.place(place_S2[index_U]))
        member_T = (used_S.cumsum(0) - 1)[member_T]
        x_TD = F.gelu(own_UD[member_T].sub_(self.place(centre_G2)[group_T]))
        groups = len(centre_G2)
        whole_GD = self.whole(_extreme(x_TD, group_T, groups, "amax"))
        x_TD = self.member(x_TD)
        # GELU falls, then rises: its largest value over members is at the largest or the smallest argument.
        low_GD, high_GD = (_extreme(x_TD, group_T, groups, which) + whole_GD for which in ("amin", "amax"))
        out_GD: Tensor = self.out(torch.maximum(F.gelu(low_GD), F.gelu(high_GD)))
        return out_GD


def _extreme(x_TD: Tensor, group_T: Tensor, groups: int, which: str) -> Tensor:
    """Return the largest or smallest value of each channel in each group; zero in a group without members."""
    start_GD = x_TD.new_zeros(groups, x_TD.shape[1])
    index_TD = group_T[:, None].expand_as(x_TD)
    return torch.scatter_reduce(start_GD, 0, index_TD, x_TD, which, include_self=False)
