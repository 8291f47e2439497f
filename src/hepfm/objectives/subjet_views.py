"""Views of rows at several resolutions: exclusive kT subjets in place of constituents (RINO, 2509.07486)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.data.feature_names import AXES, FLAGS, IDENTITY, PARTICLE_TRANSFORMER_KINEMATICS
from hepfm.groupings.base import Groups
from hepfm.networks.network import Network
from hepfm.nn.momenta import relative_to_visible

_MEANS = ("tanh_d0", "tanh_dz")
_ERRORS = ("d0_error", "dz_error")
KNOWN = frozenset((*AXES, *PARTICLE_TRANSFORMER_KINEMATICS, *IDENTITY, *_MEANS, *_ERRORS))
"""Features that a subjet can be given."""
_SMALLEST = 1e-8


def subjets_as_constituents(batch: Batch, number_BN: Tensor, network: Network) -> Batch:
    """Return rows whose constituents are the subjets, numbered by `number_BN`, hardest first.

    Momenta and charges are sums, a flag of a type is set if it is of any member, tanh d0 and tanh dz are
    means, their errors ``sqrt(sum of squares) / n``; deta and dphi are means weighted with pT.
    """
    groups = _groups(batch, number_BN)
    assert batch.p4_BN4 is not None
    p4_BG4 = groups.sums(batch.p4_BN4)
    columns = _columns(batch, groups, p4_BG4, list(network.feature_names))
    features_BGF = torch.stack(columns, dim=-1) * groups.mask_BG[..., None]
    return replace(
        batch,
        features_BNF=relative_to_visible(features_BGF, groups.mask_BG, p4_BG4, network.feature_names),
        mask_BN=groups.mask_BG,
        p4_BN4=p4_BG4,
        context_BC=network.visible_context(batch.context_BC, groups.mask_BG, p4_BG4),
        subjets={},
    )


def _groups(batch: Batch, number_BN: Tensor) -> Groups:
    number_BN = number_BN.masked_fill(~batch.mask_BN, -1)
    count_B1 = number_BN.amax(1, keepdim=True) + 1
    width = max(1, int(count_B1.max()) if len(count_B1) else 1)
    member_T = batch.mask_BN.flatten().nonzero()[:, 0]
    row_B1 = torch.arange(len(number_BN), device=number_BN.device)[:, None]
    group_T = (row_B1 * width + number_BN).flatten()[member_T]
    mask_BG = torch.arange(width, device=number_BN.device) < count_B1
    return Groups(member_T, group_T, mask_BG, batch.features_BNF.new_zeros(*mask_BG.shape, 2))


def _columns(batch: Batch, groups: Groups, p4_BG4: Tensor, names: list[str]) -> list[Tensor]:
    assert batch.p4_BN4 is not None
    pt_BN1 = batch.p4_BN4[..., 1:3].norm(dim=-1, keepdim=True)
    pt_BG1 = groups.sums(pt_BN1).clamp(min=_SMALLEST)
    sums_BGF, means_BGF = groups.sums(batch.features_BNF), groups.means(batch.features_BNF)
    weighted_BGF = groups.sums(batch.features_BNF * pt_BN1) / pt_BG1
    count_BG = groups.sums(torch.ones_like(pt_BN1))[..., 0].clamp(min=1)
    squares_BGF = groups.sums(batch.features_BNF.square())
    log_pt_BG = p4_BG4[..., 1:3].norm(dim=-1).clamp(min=_SMALLEST).log()
    made = {"log_pt": log_pt_BG, "log_energy": p4_BG4[..., 0].clamp(min=_SMALLEST).log()}
    axes_BG2 = weighted_BGF[..., [names.index(name) for name in AXES]]
    made |= {"delta_r": axes_BG2.norm(dim=-1), **dict(zip(AXES, axes_BG2.unbind(-1), strict=True))}
    for place, name in enumerate(names):
        if name in FLAGS:
            made[name] = (sums_BGF[..., place] > 0).to(log_pt_BG.dtype)
        elif name in _MEANS:
            made[name] = means_BGF[..., place]
        elif name in _ERRORS:
            made[name] = squares_BGF[..., place].sqrt() / count_BG
        else:
            made.setdefault(name, sums_BGF[..., place])  # the charge; what is relative is set afterwards
    return [made[name] for name in names]
