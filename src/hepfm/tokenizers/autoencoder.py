"""Encoder and decoder around a quantiser: what `vqvae` and `fsq` share."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.nn.attention import KeyValues, causal_bias, key_bias
from hepfm.nn.blocks import Block, PreNormBlock, SandwichBlock
from hepfm.nn.linear import Linear
from hepfm.tokenizers.base import PADDING, Decoding, Reconstruction, Tokenizer, of_real
from hepfm.tokenizers.quantizer import Quantized


class AutoencoderConfig(Config):
    """Options of `Autoencoder`.

    Attributes
    ----------
    block
        ``normformer`` (2403.05618) or ``transformer`` (pre-norm, 2512.04149): a constituent's code depends on
        the whole row (conditional); ``mlp``: on the constituent alone (unconditional).
    width, depth, num_heads
        D; blocks, or hidden layers, of encoder and of decoder; H.
    feedforward_ratio
        Hidden size of the feed-forward parts over D, of ``transformer``.
    layer_scale
        Start of a learned factor per channel of both branches of ``transformer``; None for no factor.
    dropout
        Rate in the blocks; public code of 2403.05618 has 0.1.
    causal_decoder
        Whether a constituent is decoded from the codes up to its own (2512.04149), as a network needs that
        reads decoded features while it generates.
    """

    block: Literal["normformer", "transformer", "mlp"] = "normformer"
    width: PositiveInt = 128
    depth: PositiveInt = 4
    num_heads: PositiveInt = 8
    feedforward_ratio: PositiveInt = 4
    layer_scale: float | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    causal_decoder: bool = False

    @model_validator(mode="after")
    def _check(self) -> AutoencoderConfig:
        if self.block != "mlp" and self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        return self


class Half(nn.Module):
    """Linear, blocks, linear: an encoder or a decoder.

    Parameters
    ----------
    config
        Options.
    inputs, outputs
        Sizes of the vectors that go in and come out.
    """

    def __init__(self, config: AutoencoderConfig, *, inputs: int, outputs: int) -> None:
        super().__init__()
        self.enter = Linear(inputs, config.width)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.depth))
        self.leave = Linear(config.width, outputs)

    def forward(self, x_BNC: Tensor, mask_BN: Tensor, *, causal: bool = False) -> Tensor:
        """Return what becomes of real constituents, (B, N, C'); arbitrary where the mask is false."""
        x_BND = self.enter(x_BNC) * mask_BN[..., None]
        bias = key_bias(mask_BN, x_BND.dtype)
        if causal:
            order = causal_bias(mask_BN.shape[1], prefix=0, dtype=x_BND.dtype, device=x_BND.device)
            bias = torch.minimum(bias, order)
        for block in self.blocks:
            x_BND = block(x_BND, bias)
        out_BNC: Tensor = self.leave(x_BND)
        return out_BNC


class Mlp(nn.Module):
    """Each constituent by itself: layers of Linear and ReLU, then Linear."""

    def __init__(self, config: AutoencoderConfig, *, inputs: int, outputs: int) -> None:
        super().__init__()
        sizes = [inputs, *[config.width] * config.depth]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, Linear(config.width, outputs))

    def forward(self, x_BNC: Tensor, mask_BN: Tensor, *, causal: bool = False) -> Tensor:
        """Return what becomes of real constituents, (B, N, C'); arbitrary where the mask is false."""
        out_BNC: Tensor = self.layers(x_BNC)
        return out_BNC


class CausalDecoding(Decoding):
    """Rows that grow behind a causal decoder, with the keys and values of what was decoded."""

    def __init__(self, tokenizer: Autoencoder, half: Half, *, rows: int, most: int) -> None:
        super().__init__(tokenizer)
        self.lookup, self.half = tokenizer.lookup, half
        self.seen = [KeyValues.empty(rows, most, block.attention) for block in _blocks(half)]

    def step(self, ids_B: Tensor) -> Tensor:
        """Return the standardised features, (B, F), of the next constituent of each row."""
        x_B1D = self.half.enter(self.lookup(ids_B)[:, None])
        for block, seen in zip(_blocks(self.half), self.seen, strict=True):
            x_B1D = block.extend(x_B1D, seen)
        out_BF: Tensor = self.half.leave(x_B1D)[:, 0].float()
        return out_BF

    def keep(self, index_R: Tensor) -> None:
        """Go on with some of the rows."""
        for seen in self.seen:
            seen.keep(index_R)


class Autoencoder(Tokenizer):
    """A quantiser between two halves.

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of a constituent.
    dim
        K, size of the quantised vectors.
    """

    def __init__(self, config: AutoencoderConfig, *, feature_names: Sequence[str], dim: int) -> None:
        super().__init__()
        self.num_features = len(feature_names)
        half = Mlp if config.block == "mlp" else Half
        self.encoder = half(config, inputs=self.num_features, outputs=dim)
        self.decoder = half(config, inputs=dim, outputs=self.num_features)
        self.causal_decoder = config.causal_decoder
        self.causal = config.causal_decoder or config.block == "mlp"

    @abstractmethod
    def quantize(self, z_TK: Tensor) -> Quantized:
        """Put encoded constituents on their codes, with gradients."""

    @abstractmethod
    def assign(self, z_TK: Tensor) -> Tensor:
        """Return the codes' numbers of encoded constituents, (T,)."""

    @abstractmethod
    def lookup(self, ids: Tensor) -> Tensor:
        """Return the vectors of codes (...), shape (..., K)."""

    def encode(self, x_BNF: Tensor, mask_BN: Tensor) -> Tensor:
        """Return the code of each constituent, int64 (B, N); `PADDING` where the mask is false."""
        return of_real(self.assign, self.encoder(x_BNF, mask_BN), mask_BN)

    def decode(self, ids_BN: Tensor) -> Tensor:
        """Return standardised features, float32 (B, N, F), of codes; zero where they are `PADDING`."""
        mask_BN = ids_BN != PADDING
        x_BNF = self.decoder(self.lookup(ids_BN.clamp(min=0)), mask_BN, causal=self.causal_decoder)
        return x_BNF.float() * mask_BN[..., None]

    def reconstruct(self, x_BNF: Tensor, mask_BN: Tensor) -> Reconstruction:
        """Encode and decode with gradients."""
        encoded_BNK = self.encoder(x_BNF, mask_BN).float()
        found = self.quantize(encoded_BNK[mask_BN])
        ids_BN = torch.full(mask_BN.shape, PADDING, device=mask_BN.device)
        ids_BN[mask_BN] = found.ids_T
        code_BNK = torch.zeros_like(encoded_BNK).masked_scatter(mask_BN[..., None], found.z_TK)
        loss_BN = torch.zeros_like(encoded_BNK[..., 0]).masked_scatter(mask_BN, found.loss_T)
        decoded_BNF = self.decoder(code_BNK, mask_BN, causal=self.causal_decoder).float()
        return Reconstruction(decoded_BNF * mask_BN[..., None], loss_BN, ids_BN)

    def decoding(self, rows: int, most: int) -> Decoding:
        """Start to decode `rows` rows of at most `most` constituents; only for a causal tokenizer."""
        if isinstance(self.decoder, Half) and self.causal:
            return CausalDecoding(self, self.decoder, rows=rows, most=most)
        return super().decoding(rows, most)


def _block(config: AutoencoderConfig) -> Block:
    width, heads, dropout = config.width, config.num_heads, config.dropout
    if config.block == "normformer":
        return SandwichBlock(width, num_heads=heads, dropout=dropout)
    ratio, scale = config.feedforward_ratio, config.layer_scale
    return PreNormBlock(width, num_heads=heads, ratio=ratio, dropout=dropout, layer_scale=scale)


def _blocks(half: Half) -> list[Block]:
    return list(half.blocks)  # type: ignore[arg-type]
