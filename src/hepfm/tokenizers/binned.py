"""Binned tokenizer: the cell of a regular grid that a constituent's features fall in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from hepfm.core.config import Config
from hepfm.core.errors import ConfigError
from hepfm.nn.tracing import is_traced
from hepfm.tokenizers.base import PADDING, Tokenizer

_MAX_CODES = 65536


class BinnedTokenizerConfig(Config):
    """Options of `BinnedTokenizer`.

    Attributes
    ----------
    bins
        Number of bins of each feature, in their order; their product is the number of codes. 40 in log pt and
        30 in each angle are those of a public reimplementation of 2303.07364.
    coverage
        Fraction of the constituents that the grid spans in each feature when it is fitted, with equal
        fractions left out at both ends; constituents outside get the outermost bin.
    """

    bins: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (30, 30, 40)
    coverage: Annotated[float, Field(gt=0, le=1)] = 0.999

    @model_validator(mode="after")
    def _check(self) -> BinnedTokenizerConfig:
        if math.prod(self.bins) > _MAX_CODES:
            raise ValueError(f"bins {self.bins} make {math.prod(self.bins)} codes, above {_MAX_CODES}")
        return self


class BinnedTokenizer(Tokenizer):
    """Bins of equal width in each standardised feature; decoded to their centres.

    Parameters
    ----------
    config
        Options; one number of bins for each feature.
    feature_names
        The F features of a constituent.
    """

    Config: ClassVar[type[Config]] = BinnedTokenizerConfig
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    causal = True
    low_F: Tensor
    high_F: Tensor
    bins_F: Tensor
    places_F: Tensor
    fitted: Tensor

    def __init__(self, config: BinnedTokenizerConfig, *, feature_names: Sequence[str]) -> None:
        super().__init__()
        if len(config.bins) != len(feature_names):
            raise ConfigError(
                f"tokenizer binned: {len(config.bins)} numbers of bins for the {len(feature_names)} features "
                f"{', '.join(feature_names)}; give one number for each feature with tokenizer.bins"
            )
        self.config = config
        self.num_codes = math.prod(config.bins)
        bins_F = torch.tensor(config.bins)
        self.register_buffer("bins_F", bins_F, persistent=False)
        self.register_buffer("places_F", bins_F.cumprod(0) // bins_F, persistent=False)
        self.register_buffer("low_F", torch.zeros(len(feature_names)))
        self.register_buffer("high_F", torch.ones(len(feature_names)))
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, rows: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Measure the range of each feature."""
        if self.fitted:
            return
        points_TF = torch.cat([x_BNF[mask_BN] for x_BNF, mask_BN in rows]).double().cpu()
        tail = 0.5 * (1 - self.config.coverage)
        ordered_TF = points_TF.sort(dim=0).values
        first, last = round(tail * (len(ordered_TF) - 1)), round((1 - tail) * (len(ordered_TF) - 1))
        self.low_F.copy_(ordered_TF[first])
        self.high_F.copy_(torch.maximum(ordered_TF[last], ordered_TF[first] + 1e-6))
        self.fitted.fill_(True)

    def encode(self, x_BNF: Tensor, mask_BN: Tensor) -> Tensor:
        """Return the cell of each constituent, int64 (B, N); `PADDING` where the mask is false."""
        if not is_traced() and not self.fitted:
            raise ValueError("binned tokenizer: fit the ranges first")
        fraction_BNF = (x_BNF - self.low_F) / (self.high_F - self.low_F)
        bin_BNF = (fraction_BNF * self.bins_F).floor().long()
        bin_BNF = torch.minimum(bin_BNF.clamp(min=0), self.bins_F - 1)
        return (bin_BNF * self.places_F).sum(-1).masked_fill(~mask_BN, PADDING)

    def outside(self, x_BNF: Tensor, mask_BN: Tensor) -> Tensor:
        """Return which constituents lie outside the grid and get its outermost cells, (B, N)."""
        return ((x_BNF < self.low_F) | (x_BNF > self.high_F)).any(-1) & mask_BN

    def decode(self, ids_BN: Tensor) -> Tensor:
        """Return the centres of cells, float32 (B, N, F); zero where they are `PADDING`."""
        bin_BNF = (ids_BN.clamp(min=0)[..., None] // self.places_F) % self.bins_F
        x_BNF = self.low_F + (bin_BNF + 0.5) / self.bins_F * (self.high_F - self.low_F)
        return x_BNF * (ids_BN != PADDING)[..., None]
