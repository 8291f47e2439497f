"""k-means tokenizer: the nearest of several thousand centroids of a constituent's features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from hepfm.core.config import Config
from hepfm.nn.tracing import is_traced
from hepfm.tokenizers.base import PADDING, Tokenizer, of_real
from hepfm.tokenizers.codebook import CodeSearch, fit_codes


class KMeansTokenizerConfig(Config):
    """Options of `KMeansTokenizer`.

    Attributes
    ----------
    codes
        Number of centroids.
    seed
        Of the fit.
    """

    codes: Annotated[int, Field(ge=2, le=65536)] = 8192
    seed: int = 0


class KMeansTokenizer(Tokenizer):
    """Centroids of standardised features, fitted once by mini-batch k-means (2409.12589).

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of a constituent.
    """

    Config: ClassVar[type[Config]] = KMeansTokenizerConfig
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {"xs": {"codes": 256}}
    causal = True
    codes_CF: Tensor
    fitted: Tensor

    def __init__(self, config: KMeansTokenizerConfig, *, feature_names: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.num_codes = config.codes
        self.search = CodeSearch()
        self.register_buffer("codes_CF", torch.zeros(config.codes, len(feature_names)))
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, rows: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Fit the centroids; raise `DataError` for more centroids than different constituents."""
        if self.fitted:
            return
        points_TF = torch.cat([x_BNF[mask_BN] for x_BNF, mask_BN in rows]).cpu()
        fitted = fit_codes(
            points_TF.numpy(), self.config.codes, seed=self.config.seed, where="tokenizer.codes"
        )
        self.codes_CF.copy_(torch.from_numpy(fitted))
        self.fitted.fill_(True)

    def encode(self, x_BNF: Tensor, mask_BN: Tensor) -> Tensor:
        """Return the token of each constituent, int64 (B, N); `PADDING` where the mask is false."""
        if not is_traced() and not self.fitted:
            raise ValueError("k-means tokenizer: fit the centroids first")
        return of_real(lambda x_TF: self.search.nearest(x_TF, self.codes_CF), x_BNF, mask_BN)

    def decode(self, ids_BN: Tensor) -> Tensor:
        """Return standardised features, float32 (B, N, F), of tokens; zero where they are `PADDING`."""
        return self.codes_CF[ids_BN.clamp(min=0)] * (ids_BN != PADDING)[..., None]
