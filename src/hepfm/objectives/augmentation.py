"""Augmented copies of rows: rotated about their axis, smeared, cropped (jBOT, 2601.11719)."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.data.feature_names import AXES
from hepfm.networks.network import Network
from hepfm.nn.momenta import relative_momenta
from hepfm.objectives.selection import gather_visible, random_ranks


def augmented(
    batch: Batch, network: Network, draws: Draws, name: str, *, keep: tuple[float, float], smearing: float
) -> Batch:
    """Return a copy of rows, each rotated by a random angle in the eta-phi plane about its axis.

    Parameters
    ----------
    batch, network
        The rows, and whose features they have.
    draws, name
        Where random numbers come from, and what they are called.
    keep
        Smallest and largest fraction of the constituents that is kept, at least one.
    smearing
        Width of the normal shift of deta and dphi, in units of 1 / (pT over that of the row).
    """
    rows = draws.rows(batch.rows_B)
    share_B = keep[0] + (keep[1] - keep[0]) * rows.uniform(f"{name}.share")
    number_B = (share_B * batch.mask_BN.sum(1)).round().clamp(min=1)
    batch = gather_visible(
        batch, batch.mask_BN & (random_ranks(batch, draws, name) < number_B[:, None]), network
    )
    names = list(network.feature_names)
    place = [names.index(axis) for axis in AXES]
    angle_B1 = (2 * math.pi * rows.uniform(f"{name}.angle"))[:, None]
    deta_BN, dphi_BN = batch.features_BNF[..., place].unbind(-1)
    turned = (
        deta_BN * angle_B1.cos() - dphi_BN * angle_B1.sin(),
        deta_BN * angle_B1.sin() + dphi_BN * angle_B1.cos(),
    )
    pt_BN = batch.features_BNF[..., names.index("log_pt")].exp() * batch.mask_BN
    width_BN = smearing * pt_BN.sum(1, keepdim=True) / pt_BN.clamp(min=1e-8)
    noise_BN2 = rows.normal(f"{name}.smearing", batch.mask_BN.shape[1] * 2).view(len(batch), -1, 2)
    axes_BN2 = torch.stack(turned, dim=-1) + noise_BN2 * width_BN[..., None].clamp(max=0.1)
    features_BNF = batch.features_BNF.clone()
    features_BNF[..., place] = axes_BN2.to(features_BNF.dtype)
    if "delta_r" in names:
        features_BNF[..., names.index("delta_r")] = axes_BN2.norm(dim=-1).to(features_BNF.dtype)
    features_BNF = features_BNF * batch.mask_BN[..., None]
    p4_BN4 = None if batch.p4_BN4 is None else relative_momenta(features_BNF, batch.mask_BN, names)
    return replace(batch, features_BNF=features_BNF, p4_BN4=p4_BN4)
