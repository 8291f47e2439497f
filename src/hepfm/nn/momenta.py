"""Four-momenta of constituents from their features, in the frame of the jet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_NEEDED = ("log_pt", "deta", "dphi")


def relative_momenta(features_BNF: Tensor, mask_BN: Tensor, feature_names: Sequence[str]) -> Tensor | None:
    """Return (E, px, py, pz) in GeV, shape (B, N, 4), of massless constituents.

    They are given as if the jet lay at eta = phi = 0. Transverse momenta and angles between constituents,
    which pair features are made of, are those in the laboratory.

    Parameters
    ----------
    features_BNF
        Physical features; None is returned unless ``log_pt``, ``deta`` and ``dphi`` are among them.
    mask_BN
        Boolean, True = real.
    feature_names
        Names of the features.
    """
    if not set(_NEEDED) <= set(feature_names):
        return None
    log_pt, deta, dphi = (features_BNF[..., list(feature_names).index(name)] for name in _NEEDED)
    pt = log_pt.exp()
    parts = (pt * deta.cosh(), pt * dphi.cos(), pt * dphi.sin(), pt * deta.sinh())
    return torch.stack(parts, dim=-1) * mask_BN[..., None]
