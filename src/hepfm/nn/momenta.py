"""Four-momenta of constituents from their features, in the frame of the jet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hepfm.data.feature_names import RELATIVE

_NEEDED = ("log_pt", "deta", "dphi")

_SMALLEST = 1e-8
"""Floor of a row's pt or energy (GeV) in its logarithm; rows without constituents have none."""


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


def relative_to_visible(
    features_BNF: Tensor, mask_BN: Tensor, p4_BN4: Tensor | None, feature_names: Sequence[str]
) -> Tensor:
    """Return physical features, with those relative to the row made relative to the sum of its constituents.

    For a row with removed constituents the momentum of the whole row would reveal them.

    Parameters
    ----------
    features_BNF, mask_BN
        Physical features, and which are real.
    p4_BN4
        Their four-momenta (E, px, py, pz) in GeV.
    feature_names
        Names of the features.

    Raises
    ------
    ValueError
        When there are relative features and nothing to make them of.
    """
    names = list(feature_names)
    relative = [name for name in RELATIVE if name in names]
    if not relative:
        return features_BNF
    sources = {name: RELATIVE[name][0] for name in relative}
    if p4_BN4 is None or not set(sources.values()) <= set(names):
        raise ValueError(f"{', '.join(relative)} need four-momenta and {', '.join(sources.values())}")
    row_B4 = p4_BN4.double().sum(1)
    whole = {"energy": row_B4[:, 0], "pt": torch.hypot(row_B4[:, 1], row_B4[:, 2])}
    features_BNF = features_BNF.clone()
    for name in relative:
        log_B = whole[RELATIVE[name][1]].clamp(min=_SMALLEST).log().float()
        source_BN = features_BNF[..., names.index(sources[name])]
        features_BNF[..., names.index(name)] = (source_BN - log_B[:, None]) * mask_BN
    return features_BNF
