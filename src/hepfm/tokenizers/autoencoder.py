"""A quantiser between an encoder and a decoder: what VQ-VAEs and finite scalar quantisation share."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from hepfm.nn.attention import KeyValueCache
from hepfm.tokenizers.base import PADDING, Reconstruction, TokenDecoder, Tokenizer, of_real
from hepfm.tokenizers.halves import AttentionHalf, Half
from hepfm.tokenizers.quantizer import Quantized


class CausalTokenDecoder(TokenDecoder):
    """Growing rows behind a causal decoder, with the keys and values of the decoded constituents."""

    def __init__(
        self, tokenizer: Autoencoder, half: AttentionHalf, *, rows: int, max_constituents: int
    ) -> None:
        super().__init__(tokenizer)
        self.lookup, self.half = tokenizer.lookup, half
        self.caches = [KeyValueCache.empty(rows, max_constituents, block.attention) for block in half.stack()]

    def step(self, ids_B: Tensor) -> Tensor:
        """Return the standardised features, (B, F), of the next constituent of each row."""
        x_B1D = self.half.enter(self.lookup(ids_B)[:, None])
        for block, cache in zip(self.half.stack(), self.caches, strict=True):
            x_B1D = block.extend(x_B1D, cache)
        out_BF: Tensor = self.half.leave(x_B1D)[:, 0].float()
        return out_BF

    def keep(self, index_R: Tensor) -> None:
        """Keep only some of the rows."""
        for cache in self.caches:
            cache.keep(index_R)


class Autoencoder(Tokenizer):
    """A quantiser between two halves.

    Parameters
    ----------
    encoder
        From the F features of a constituent to a vector of K numbers.
    decoder
        From quantised vectors to features.
    """

    def __init__(self, encoder: Half, decoder: Half) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.causal = decoder.causal

    @abstractmethod
    def quantize(self, z_TK: Tensor) -> Quantized:
        """Replace encoded constituents by their nearest codes, with gradients."""

    @abstractmethod
    def assign(self, z_TK: Tensor) -> Tensor:
        """Return the tokens of encoded constituents, (T,)."""

    @abstractmethod
    def lookup(self, ids: Tensor) -> Tensor:
        """Return the vectors of tokens (...), shape (..., K)."""

    def encode(self, x_BNF: Tensor, mask_BN: Tensor) -> Tensor:
        """Return the token of each constituent, int64 (B, N); `PADDING` where the mask is false."""
        return of_real(self.assign, self.encoder(x_BNF, mask_BN), mask_BN)

    def decode(self, ids_BN: Tensor) -> Tensor:
        """Return standardised features, float32 (B, N, F), of tokens; zero where they are `PADDING`."""
        mask_BN = ids_BN != PADDING
        x_BNF: Tensor = self.decoder(self.lookup(ids_BN.clamp(min=0)), mask_BN)
        return x_BNF.float() * mask_BN[..., None]

    def reconstruct(self, x_BNF: Tensor, mask_BN: Tensor) -> Reconstruction:
        """Encode and decode with gradients."""
        encoded_BNK = self.encoder(x_BNF, mask_BN).float()
        quantized = self.quantize(encoded_BNK[mask_BN])
        ids_BN = torch.full(mask_BN.shape, PADDING, device=mask_BN.device)
        ids_BN[mask_BN] = quantized.ids_T
        code_BNK = torch.zeros_like(encoded_BNK).masked_scatter(mask_BN[..., None], quantized.z_TK)
        loss_BN = torch.zeros_like(encoded_BNK[..., 0]).masked_scatter(mask_BN, quantized.loss_T)
        decoded_BNF = self.decoder(code_BNK, mask_BN).float()
        return Reconstruction(decoded_BNF * mask_BN[..., None], loss_BN, ids_BN)

    def start_decoder(self, rows: int, max_constituents: int) -> TokenDecoder:
        """Return a decoder of growing rows of up to `max_constituents`; only for a causal tokenizer."""
        if isinstance(self.decoder, AttentionHalf) and self.causal:
            return CausalTokenDecoder(self, self.decoder, rows=rows, max_constituents=max_constituents)
        return super().start_decoder(rows, max_constituents)
