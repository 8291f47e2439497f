"""Nearest-neighbour head: the classes of the rows of a bank whose summaries are most like the row's."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from hepfm.backbones.base import Features
from hepfm.core.config import Config
from hepfm.heads.base import Head
from hepfm.nn.pooling import summary

_NONE = 1e-6
"""Probability of a class that no neighbour has, before normalisation: its logarithm must be finite."""


class NearestNeighboursConfig(Config):
    """Options of `NearestNeighbours`.

    Attributes
    ----------
    rows
        Rows of the bank; set when it is filled.
    neighbours
        How many of them vote.
    temperature
        Of the votes ``exp(cosine similarity / temperature)``; 0.07 in 1805.01978.
    """

    rows: PositiveInt = 1
    neighbours: PositiveInt = 20
    temperature: PositiveFloat = 0.07


class NearestNeighbours(Head):
    """Weighted vote of the nearest rows of a bank (1805.01978); it has no weights to train.

    The logits are logarithms of the fractions of the votes, so that their softmax gives these.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    num_outputs
        Number of classes K.
    """

    Config: ClassVar[type[Config]] = NearestNeighboursConfig
    bank_RD: Tensor
    class_RK: Tensor

    def __init__(self, config: NearestNeighboursConfig, *, width: int, num_outputs: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("bank_RD", torch.zeros(config.rows, width))
        self.register_buffer("class_RK", torch.zeros(config.rows, num_outputs))

    @torch.no_grad()
    def fill(self, summary_RD: Tensor, label_R: Tensor, weight_R: Tensor | None = None) -> None:
        """Fill the bank with summaries of labelled rows, (R, D) and (R,); votes count by row weights."""
        self.bank_RD.copy_(F.normalize(summary_RD.float(), dim=-1))
        weight_R = torch.ones(len(label_R)) if weight_R is None else weight_R
        one_hot_RK = F.one_hot(label_R.long(), self.class_RK.shape[1])
        self.class_RK.copy_(one_hot_RK * weight_R[:, None])

    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return logarithms of the fractions of votes, (B, K)."""
        row_BD = summary(features.tokens_BND, features.pooled_BD, mask_BN).float()
        with torch.autocast(row_BD.device.type, enabled=False):  # votes are exponentials of fine differences
            similarity_BR = F.normalize(row_BD, dim=-1) @ self.bank_RD.T
        count = min(self.config.neighbours, self.config.rows)
        nearest_BM, index_BM = similarity_BR.topk(count, dim=-1)
        vote_BM = (nearest_BM / self.config.temperature).softmax(-1)
        vote_BK = (vote_BM[..., None] * self.class_RK[index_BM]).sum(1)
        fraction_BK = vote_BK / vote_BK.sum(-1, keepdim=True).clamp(min=_NONE) + _NONE
        return (fraction_BK / fraction_BK.sum(-1, keepdim=True)).log()
