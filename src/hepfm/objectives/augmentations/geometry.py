"""Constituents in other directions: features and four-momenta changed together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from hepfm.core.batch import Batch

_SMALLEST = 1e-12
"""Floor of transverse momenta (GeV) that something is divided by."""


def directions(batch: Batch, feature_names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return deta and dphi of the constituents, (B, N) each."""
    names = list(feature_names)
    deta, dphi = names.index("deta"), names.index("dphi")
    return batch.features_BNF[..., deta], batch.features_BNF[..., dphi]


def transverse_momentum(batch: Batch) -> Tensor:
    """Return pt of the constituents in GeV, (B, N), from their four-momenta."""
    assert batch.p4_BN4 is not None
    return torch.hypot(batch.p4_BN4[..., 1], batch.p4_BN4[..., 2])


def moved(batch: Batch, deta_BN: Tensor, dphi_BN: Tensor, feature_names: Sequence[str]) -> Batch:
    """Return the constituents in other directions, of the same pt and mass.

    The Particle Transformer's deta has the sign of the jet's eta; momenta move to the side that the row's own
    deta says, which is told by how deta and eta go together.

    Parameters
    ----------
    batch
        The rows.
    deta_BN, dphi_BN
        The new directions relative to the axis.
    feature_names
        Names of the features.
    """
    names, mask_BN = list(feature_names), batch.mask_BN
    old_eta_BN, old_phi_BN = directions(batch, names)
    p4_BN4 = _turned(batch, deta_BN - old_eta_BN, dphi_BN - old_phi_BN, old_eta_BN)
    dphi_BN = dphi_BN - 2 * math.pi * torch.round(dphi_BN / (2 * math.pi))
    values = {"deta": deta_BN, "dphi": dphi_BN, "delta_r": torch.hypot(deta_BN, dphi_BN)}
    if "log_energy" in names:
        values["log_energy"] = p4_BN4[..., 0].clamp(min=_SMALLEST).log()
    features_BNF = batch.features_BNF.clone()
    for name, value_BN in values.items():
        if name in names:
            features_BNF[..., names.index(name)] = value_BN.to(features_BNF.dtype) * mask_BN
    p4_BN4 = p4_BN4.to(features_BNF.dtype) * mask_BN[..., None]
    return replace(batch, features_BNF=features_BNF, p4_BN4=p4_BN4)


def _turned(batch: Batch, by_eta_BN: Tensor, by_phi_BN: Tensor, deta_BN: Tensor) -> Tensor:
    """Return the four-momenta, shifted in eta and phi, in double precision."""
    assert batch.p4_BN4 is not None
    energy, px, py, pz = batch.p4_BN4.double().unbind(-1)
    pt = torch.hypot(px, py).clamp(min=_SMALLEST)
    eta = torch.asinh(pz / pt)
    square = (energy.square() - pt.square() - pz.square()).clamp(min=0)
    phi = torch.atan2(py, px) + by_phi_BN
    eta = eta + _side(eta, deta_BN, batch.mask_BN)[:, None] * by_eta_BN
    new_pz = pt * eta.sinh()
    new_energy = (square + pt.square() + new_pz.square()).sqrt()
    return torch.stack((new_energy, pt * phi.cos(), pt * phi.sin(), new_pz), dim=-1)


def _side(eta_BN: Tensor, deta_BN: Tensor, mask_BN: Tensor) -> Tensor:
    """Return 1, or -1 for rows whose deta falls with eta."""
    count_B1 = mask_BN.sum(1, keepdim=True).clamp(min=1)
    centred_BN = eta_BN - (eta_BN * mask_BN).sum(1, keepdim=True) / count_B1
    together_B = (centred_BN * deta_BN * mask_BN).sum(1)
    return torch.where(together_B < 0, -1.0, 1.0).to(eta_BN.dtype)
