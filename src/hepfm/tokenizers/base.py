"""The contract of a tokenizer: constituents to tokens (integers) and back.

A token is the number of a code, an entry of the tokenizer's codebook.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.nn.tracing import is_traced

PADDING = -1
"""The token where there is no constituent."""


def of_real(assign: Callable[[Tensor], Tensor], x_BNC: Tensor, mask_BN: Tensor) -> Tensor:
    """Return the tokens, int64 (B, N), that `assign` gives to vectors (T, C); else `PADDING`.

    An exported network has no list of its real constituents: it assigns all vectors and masks the tokens.
    """
    if is_traced():
        return assign(x_BNC.flatten(0, 1)).view(mask_BN.shape).masked_fill(~mask_BN, PADDING)
    ids_BN = torch.full(mask_BN.shape, PADDING, device=mask_BN.device)
    ids_BN[mask_BN] = assign(x_BNC[mask_BN])
    return ids_BN


@dataclass(frozen=True)
class Reconstruction:
    """The output of a tokenizer for a batch in training.

    Attributes
    ----------
    x_BNF
        The decoded features, with gradients to encoder, codes and decoder.
    quantization_BN
        Term of each constituent, added to its squared error, that pulls vectors and codes together; zero
        where the mask is false.
    ids_BN
        The tokens, `PADDING` where the mask is false.
    """

    x_BNF: Tensor
    quantization_BN: Tensor
    ids_BN: Tensor


class TokenDecoder:
    """Decodes the tokens of growing rows one by one; here for constituents that are decoded independently."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def step(self, ids_B: Tensor) -> Tensor:
        """Return the standardised features, (B, F), of the next constituent of each row."""
        return self.tokenizer.decode(ids_B[:, None])[:, 0]

    def keep(self, index_R: Tensor) -> None:
        """Keep only some of the rows."""


class Tokenizer(nn.Module):
    """Standardised constituents to tokens and back. Built by ``cls(config, feature_names=...)``.

    Padding has the token `PADDING` and enters no statistic, no loss and no codebook.
    """

    Config: ClassVar[type[Config]]
    num_codes: int
    """Size of the codebook: tokens are 0 to ``num_codes - 1``."""
    causal: bool
    """Whether constituent i is decoded from the tokens up to i only, so that a growing row can be decoded."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = False

    def fit(self, rows: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Fit constants to rows of the training data, once; later calls change nothing.

        Parameters
        ----------
        rows
            Standardised features (B, N, F) and masks (B, N), in parts; gone through once.
        """

    @abstractmethod
    def encode(self, x_BNF: Tensor, mask_BN: Tensor) -> Tensor:
        """Return the token of each constituent, int64 (B, N); `PADDING` where the mask is false."""

    @abstractmethod
    def decode(self, ids_BN: Tensor) -> Tensor:
        """Return standardised features, float32 (B, N, F), of tokens; zero where they are `PADDING`."""

    def reconstruct(self, x_BNF: Tensor, mask_BN: Tensor) -> Reconstruction:
        """Encode and decode, with gradients where parameters are learned by them."""
        ids_BN = self.encode(x_BNF, mask_BN)
        return Reconstruction(self.decode(ids_BN), torch.zeros_like(x_BNF[..., 0]), ids_BN)

    def start_decoder(self, rows: int, max_constituents: int) -> TokenDecoder:
        """Return a decoder of growing rows of up to `max_constituents`; only for a causal tokenizer."""
        if not self.causal:
            raise ValueError("a row that is still growing can only be decoded by a causal tokenizer")
        return TokenDecoder(self)

    @property
    def reads_parts(self) -> bool:
        """Whether what is learned depends on which constituents are in one part of a step; not by default."""
        return False

    def outside(self, x_BNF: Tensor, mask_BN: Tensor) -> Tensor:
        """Return which constituents lie outside the range that was fitted, (B, N); none by default."""
        return torch.zeros_like(mask_BN)

    def after_step(self) -> None:
        """Called after each optimiser step, e.g. to replace dead codes. Nothing by default."""

    def freeze(self) -> None:
        """Keep every parameter and every buffer unchanged, also in training mode."""
        self.frozen = True
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Set training mode; a frozen tokenizer stays in evaluation mode."""
        return super().train(mode and not self.frozen)
