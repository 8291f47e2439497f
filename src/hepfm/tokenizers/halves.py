"""Encoders and decoders of tokenizers, with attention between constituents or for each separately."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.nn.attention import causal_bias, key_bias
from hepfm.nn.blocks import Block, PreNormBlock, SandwichBlock
from hepfm.nn.layers import Layers
from hepfm.nn.linear import Linear


class MlpConfig(Config):
    """Options of an encoder and a decoder that act on each constituent separately.

    Attributes
    ----------
    width, depth
        D; hidden layers of encoder and of decoder.
    """

    width: PositiveInt = 128
    depth: PositiveInt = 4


class AttentionConfig(Config):
    """Options of an encoder and a decoder in which constituents attend to each other.

    Attributes
    ----------
    width, depth, num_heads
        D; blocks of encoder and of decoder; H.
    dropout
        Rate in the blocks; public code of 2403.05618 has 0.1.
    causal_decoder
        Whether a constituent is decoded from the tokens up to its own (2512.04149), as a network needs that
        reads decoded features while it generates.
    """

    width: PositiveInt = 128
    depth: PositiveInt = 4
    num_heads: PositiveInt = 8
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    causal_decoder: bool = False

    @model_validator(mode="after")
    def _check_heads(self) -> AttentionConfig:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        return self


class PreNormConfig(AttentionConfig):
    """Options of pre-norm transformer blocks: those of `AttentionConfig`, and

    Attributes
    ----------
    feedforward_ratio
        Hidden size of the feed-forward parts over D.
    layer_scale
        Start of a learned factor per channel of both branches; None for no factor.
    """

    feedforward_ratio: PositiveInt = 4
    layer_scale: float | None = None


class AttentionHalf(nn.Module):
    """Linear, blocks, linear.

    Parameters
    ----------
    config
        Options.
    block
        Makes a block.
    inputs, outputs
        Sizes of the vectors that go in and come out.
    causal
        Whether a constituent sees only itself and those before it.
    """

    def __init__(
        self, config: AttentionConfig, block: Callable[[], Block], *, inputs: int, outputs: int, causal: bool
    ) -> None:
        super().__init__()
        self.enter = Linear(inputs, config.width)
        self.blocks: Layers[Block] = Layers(block() for _ in range(config.depth))
        self.leave = Linear(config.width, outputs)
        self.causal = causal

    def forward(self, x_BNC: Tensor, mask_BN: Tensor) -> Tensor:
        """Return the outputs for real constituents, (B, N, C'); arbitrary where the mask is false."""
        x_BND = self.enter(x_BNC) * mask_BN[..., None]
        bias = key_bias(mask_BN, x_BND.dtype)
        if self.causal:
            order = causal_bias(mask_BN.shape[1], prefix=0, dtype=x_BND.dtype, device=x_BND.device)
            bias = torch.minimum(bias, order)
        for block in self.blocks:
            x_BND = block(x_BND, bias)
        out_BNC: Tensor = self.leave(x_BND)
        return out_BNC

    def stack(self) -> list[Block]:
        """Return the blocks."""
        return list(self.blocks)


class MlpHalf(nn.Module):
    """Layers of Linear and ReLU, then Linear.

    Parameters
    ----------
    config
        Options.
    inputs, outputs
        Sizes of the vectors that go in and come out.
    """

    causal = True
    """A constituent sees only itself."""

    def __init__(self, config: MlpConfig, *, inputs: int, outputs: int) -> None:
        super().__init__()
        sizes = [inputs, *[config.width] * config.depth]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, Linear(config.width, outputs))

    def forward(self, x_BNC: Tensor, mask_BN: Tensor) -> Tensor:
        """Return the outputs for each constituent, (B, N, C'); arbitrary where the mask is false."""
        out_BNC: Tensor = self.layers(x_BNC)
        return out_BNC


Half = AttentionHalf | MlpHalf


def normformer_half(config: AttentionConfig, *, inputs: int, outputs: int, causal: bool) -> AttentionHalf:
    """Return a half of NormFormer blocks (2403.05618)."""

    def block() -> Block:
        return SandwichBlock(config.width, num_heads=config.num_heads, dropout=config.dropout)

    return AttentionHalf(config, block, inputs=inputs, outputs=outputs, causal=causal)


def transformer_half(config: PreNormConfig, *, inputs: int, outputs: int, causal: bool) -> AttentionHalf:
    """Return a half of pre-norm transformer blocks (2512.04149)."""

    def block() -> Block:
        return PreNormBlock(
            config.width,
            num_heads=config.num_heads,
            ratio=config.feedforward_ratio,
            dropout=config.dropout,
            layer_scale=config.layer_scale,
        )

    return AttentionHalf(config, block, inputs=inputs, outputs=outputs, causal=causal)
