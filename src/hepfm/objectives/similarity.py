"""Losses of similarities: which vectors of a step lie close together, and which of them should."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.objectives.together import StepRows

ANCHORS = 1024
"""Rows of the similarity matrix at once: a validation of many rows does not hold all of it."""


def contrast(rows: StepRows, *, temperature: float) -> Tensor:
    """Return how badly each vector can tell those that belong to it from all others.

    With unit vectors z, similarities s_ij = z_i.z_j / temperature and the positives P(i), which are the other
    vectors of the same identity,

        loss = mean over i of [ ln sum over j != i of w_j exp(s_ij)  -  mean over p in P(i) of s_ip ]

    over all i that have positives; means are weighted by the weights w, whose own mean is 1. For pairs this
    is NT-Xent (SimCLR, 2002.05709), for classes the supervised contrastive loss ("L_out" of 2004.11362). It
    is 0 where no vector has a positive.
    """
    sums, weights = [rows.vectors_VE.sum() * 0], [rows.weights_V.sum() * 0]
    for logits_AV, same_AV, weights_A in _anchors(rows, temperature):
        others_A = torch.logsumexp(logits_AV + rows.weights_V.log(), dim=1)
        positive_AV = same_AV * rows.weights_V
        similarity_AV = torch.where(same_AV, logits_AV, 0.0)
        loss_A = others_A - (positive_AV * similarity_AV).sum(1) / positive_AV.sum(1)
        sums.append((weights_A * loss_A).sum())
        weights.append(weights_A.sum())
    return _ratio(sums, weights)


def nearest_is_positive(rows: StepRows) -> Tensor:
    """Return the share of the vectors with positives whose most similar other vector is one of them."""
    sums, weights = [rows.vectors_VE.sum() * 0], [rows.weights_V.sum() * 0]
    for logits_AV, same_AV, weights_A in _anchors(rows, 1.0):
        right_A = same_AV.gather(1, logits_AV.argmax(1, keepdim=True))[:, 0]
        sums.append((weights_A * right_A).sum())
        weights.append(weights_A.sum())
    return _ratio(sums, weights)


def _anchors(rows: StepRows, temperature: float) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield blocks of vectors with positives: similarities to all (its own -inf), positives, weights."""
    unit_VE = F.normalize(rows.vectors_VE, dim=1)
    place_V = torch.arange(len(rows), device=unit_VE.device)
    for block in place_V.split(ANCHORS):  # type: ignore[no-untyped-call]
        self_AV = place_V[block, None] == place_V
        same_AV = (rows.identity_V[block, None] == rows.identity_V) & ~self_AV
        anchors = same_AV.any(1).nonzero()[:, 0]
        if len(anchors):
            logits_AV = (unit_VE[block[anchors]] @ unit_VE.T) / temperature
            logits_AV = logits_AV.masked_fill(self_AV[anchors], -torch.inf)
            yield logits_AV, same_AV[anchors], rows.weights_V[block[anchors]]


def _ratio(sums: list[Tensor], weights: list[Tensor]) -> Tensor:
    total = torch.stack(weights).sum()
    return torch.stack(sums).sum() / total.clamp(min=torch.finfo(total.dtype).tiny)
