"""KoLeo: how near the nearest other row is, a regulariser that spreads vectors over the sphere."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.objectives.together import StepRows, Together

_SMALLEST = 1e-8
"""Added to squared distances: rows may coincide."""


def koleo(vectors_BE: Tensor, counted_B: Tensor, *, weight: float) -> Together:
    """Return the Kozachenko-Leonenko estimate of minus the entropy of normalised vectors (1806.03198).

    The mean over rows of -ln of the distance to the nearest other row of the whole step. Rows that do not
    count, as those without constituents, are left out.
    """
    counted_B = (counted_B != 0).to(vectors_BE.dtype)
    rows = StepRows.of(F.normalize(vectors_BE, dim=-1), counted_B)
    return Together(rows, counted_B.sum(), _nearest, weight)


def _nearest(rows: StepRows) -> Tensor:
    rows_RE = rows.vectors_VE
    if len(rows_RE) < 2:
        return rows_RE.sum() * 0.0
    with torch.no_grad():
        similarity_RR = rows_RE @ rows_RE.T
        similarity_RR.fill_diagonal_(-torch.inf)
        nearest_R = similarity_RR.argmax(1)
    distance_R = (rows_RE - rows_RE[nearest_R]).square().sum(-1)
    return -0.5 * (distance_R + _SMALLEST).log().mean()
