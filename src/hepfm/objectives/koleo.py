"""KoLeo: how near the nearest other row is, a regulariser that spreads vectors over the sphere."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.objectives.loss import Joined

_SMALLEST = 1e-8
"""Added to squared distances: rows may coincide."""


def koleo(vectors_BE: Tensor, counted_B: Tensor, *, weight: float) -> Joined:
    """Return the Kozachenko-Leonenko estimate of minus the entropy of normalised vectors (1806.03198).

    The mean over rows of -ln of the distance to the nearest other row of the whole step. Rows that do not
    count, as those without constituents, are left out.
    """
    kept_B = counted_B.bool()
    rows_RE = F.normalize(vectors_BE[kept_B], dim=-1)
    return Joined(rows_RE, kept_B.sum().to(rows_RE.dtype), weight, _nearest)


def _nearest(rows_RE: Tensor, count: Tensor) -> Tensor:
    if len(rows_RE) < 2:
        return rows_RE.sum() * 0.0
    with torch.no_grad():
        similarity_RR = rows_RE @ rows_RE.T
        similarity_RR.fill_diagonal_(-torch.inf)
        nearest_R = similarity_RR.argmax(1)
    distance_R = (rows_RE - rows_RE[nearest_R]).square().sum(-1)
    return -0.5 * (distance_R + _SMALLEST).log().mean()
