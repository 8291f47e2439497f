"""Particle Transformer: attention biased by pair features, then class attention (2202.03772)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from hepfm.backbones.base import Backbone, Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.nn.attention import key_bias
from hepfm.nn.embedding import Embedding
from hepfm.nn.init import init_transformer
from hepfm.nn.normformer import ClassAttentionBlock, NormFormerBlock
from hepfm.nn.packing import Packing
from hepfm.nn.pairs import PairEmbedding


class ParticleTransformerConfig(Config):
    """Options of `ParticleTransformer`; the defaults are the published configuration.

    Attributes
    ----------
    width
        D, a multiple of `num_heads`.
    depth, class_depth
        Number of particle attention blocks and of class attention blocks.
    num_heads
        H.
    feedforward_ratio
        Hidden size of the feed-forward parts over D.
    embed_widths
        Hidden sizes of the embedding, before the last layer of size D.
    pair_widths
        Hidden sizes of the pair embedding; empty for the plain network without pair features.
    pair_activation
        Whether the last layer of the pair embedding ends in GELU, as in the published configuration; in
        Sophon (2405.12972) it does not.
    dropout
        Rate in the particle attention blocks; the class attention blocks have none.
    """

    width: PositiveInt = 128
    depth: PositiveInt = 8
    class_depth: PositiveInt = 2
    num_heads: PositiveInt = 8
    feedforward_ratio: PositiveInt = 4
    embed_widths: tuple[PositiveInt, ...] = (128, 512)
    pair_widths: tuple[PositiveInt, ...] = (64, 64, 64)
    pair_activation: bool = True
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1

    @model_validator(mode="after")
    def _check(self) -> ParticleTransformerConfig:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        return self


class ParticleTransformer(Backbone):
    """The Particle Transformer.

    `pooled_BD` is the class token after the last norm, which the paper's linear classifier reads. The size
    ``"s"`` is the paper's network of 2.14 million parameters.

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of a constituent.
    """

    Config: ClassVar[type[Config]] = ParticleTransformerConfig
    needs = frozenset({"p4"})
    supports = frozenset({"embedding"})
    of_pairs = frozenset({"pairs"})
    own_parts = frozenset({"embedding", "pairs"})
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {
            "width": 64,
            "depth": 3,
            "class_depth": 1,
            "num_heads": 4,
            "feedforward_ratio": 2,
            "embed_widths": (64,),
            "pair_widths": (32, 32),
        },
        "s": {},
        "m": {"width": 384, "depth": 14, "num_heads": 12, "embed_widths": (384, 1536)},
        "l": {"width": 1024, "depth": 22, "num_heads": 16, "embed_widths": (1024, 4096)},
    }

    def __init__(self, config: ParticleTransformerConfig, *, feature_names: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        block = {"num_heads": config.num_heads, "ratio": config.feedforward_ratio}
        self.embedding: nn.Module = Embedding(len(feature_names), widths=(*config.embed_widths, config.width))
        self.blocks = nn.ModuleList(
            NormFormerBlock(config.width, dropout=config.dropout, **block) for _ in range(config.depth)
        )
        self.class_blocks = nn.ModuleList(
            ClassAttentionBlock(config.width, dropout=0.0, **block) for _ in range(config.class_depth)
        )
        self.norm = nn.LayerNorm(config.width)
        self.class_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, config.width), std=0.02))
        init_transformer(self, self.blocks)
        # After the call above: the pair layers keep torch's default start, as in the public implementation.
        self.pairs = (
            PairEmbedding(config.pair_widths, num_heads=config.num_heads, activation=config.pair_activation)
            if config.pair_widths
            else None
        )

    def embed(self, x_BNF: Tensor, mask_BN: Tensor, *, physical_BNF: Tensor | None = None) -> Tensor:
        """Return embedded constituents; see `Backbone.embed`."""
        packing = Packing.of(mask_BN)
        return packing.unpack(self.embedding(packing.pack(x_BNF), packing.real_T))

    def replace_embedding(self, embedding: nn.Module) -> None:
        """Put another module in place of the embedding."""
        self.embedding = embedding

    def encode(
        self,
        h_BND: Tensor,
        mask_BN: Tensor,
        p4_BN4: Tensor | None = None,
        *,
        physical_BNF: Tensor | None = None,
        prefix_BKD: Tensor | None = None,
        causal: bool = False,
    ) -> Features:
        """Return normalised constituents and the class token; see `Backbone.encode`."""
        packing = Packing.of(mask_BN)
        x_TD = packing.pack(h_BND)
        bias = self._bias(x_TD, mask_BN, p4_BN4)
        for block in self.blocks:
            x_TD = block(x_TD, packing, bias)
        tokens_BND = packing.unpack(self.norm(x_TD)) * mask_BN[..., None]
        return Features(tokens_BND, self._pool(packing.unpack(x_TD), mask_BN))

    def _bias(self, x_TD: Tensor, mask_BN: Tensor, p4_BN4: Tensor | None) -> Tensor:
        if self.pairs is None:
            return key_bias(mask_BN, x_TD.dtype)
        if p4_BN4 is None:
            raise IncompatibleError(
                "the particle_transformer makes pair features from four-momenta, but the batch has none; "
                "use data with four-momenta, or the plain network: pair_widths=[]"
            )
        bias_BHNN: Tensor = self.pairs(p4_BN4, mask_BN, massless=self.massless)
        return bias_BHNN

    def _pool(self, x_BND: Tensor, mask_BN: Tensor) -> Tensor:
        token_BD = self.class_token[0].expand(x_BND.shape[0], -1)
        bias_BN = key_bias(mask_BN, x_BND.dtype)[:, 0, 0]
        for block in self.class_blocks:
            token_BD = block(token_BD, x_BND, bias_BN)
        pooled_BD: Tensor = self.norm(token_BD)
        return pooled_BD

    def layers(self) -> list[list[nn.Parameter]]:
        """Return embeddings, each block, then the class attention with the last norm."""
        first = list(self.embedding.parameters()) + list(self.pairs.parameters() if self.pairs else ())
        last = [self.class_token, *self.class_blocks.parameters(), *self.norm.parameters()]
        return [first, *(list(block.parameters()) for block in self.blocks), last]
