"""VQ-VAE with an encoder and a decoder of pre-norm transformer blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from hepfm.core.config import Config
from hepfm.tokenizers.halves import PreNormConfig, transformer_half
from hepfm.tokenizers.quantizer import Quantizer
from hepfm.tokenizers.vqvae import CodebookConfig, VectorQuantized


class VqVaeTransformerConfig(PreNormConfig, CodebookConfig):
    """Options of `VqVaeTransformer`."""


class VqVaeTransformer(VectorQuantized):
    """VQ-VAE of the improved OmniJet-alpha (2512.04149), whose tokens depend on the whole row.

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of a constituent.
    """

    Config: ClassVar[type[Config]] = VqVaeTransformerConfig
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {"codes": 512, "width": 32, "depth": 2, "num_heads": 4},
        "s": {},
    }

    def __init__(self, config: VqVaeTransformerConfig, *, feature_names: Sequence[str]) -> None:
        inputs, dim = len(feature_names), config.dim
        super().__init__(
            config,
            transformer_half(config, inputs=inputs, outputs=dim, causal=False),
            transformer_half(config, inputs=dim, outputs=inputs, causal=config.causal_decoder),
            Quantizer(config),
        )
