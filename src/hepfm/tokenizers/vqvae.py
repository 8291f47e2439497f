"""VQ-VAE: a learned codebook between an encoder and a decoder of NormFormer blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from hepfm.core.config import Config
from hepfm.tokenizers.autoencoder import Autoencoder
from hepfm.tokenizers.halves import AttentionConfig, Half, normformer_half
from hepfm.tokenizers.quantizer import Quantized, Quantizer, QuantizerConfig


class CodebookConfig(QuantizerConfig):
    """Options of every VQ-VAE: those of `QuantizerConfig` and the following.

    Attributes
    ----------
    quantization_weight
        Weight of the quantisation loss beside the squared error; 10 in 2403.05618.
    """

    quantization_weight: Annotated[float, Field(ge=0)] = 10.0


class VectorQuantized(Autoencoder):
    """An encoder, a codebook and a decoder (1711.00937).

    Parameters
    ----------
    config
        Options of the codebook.
    encoder, decoder
        The halves.
    quantizer
        The codebook.
    """

    fitted: Tensor

    def __init__(self, config: CodebookConfig, encoder: Half, decoder: Half, quantizer: Quantizer) -> None:
        super().__init__(encoder, decoder)
        self.config = config
        self.num_codes = config.codes
        self.quantizer = quantizer
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, rows: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Start the codes from encoded constituents, if `kmeans_start` is set."""
        if self.fitted or not self.config.kmeans_start:
            return
        was_training = self.training
        self.eval()
        vectors = [self.encoder(x_BNF, mask_BN)[mask_BN] for x_BNF, mask_BN in rows]
        self.quantizer.start(torch.cat(vectors), where="tokenizer.codes")
        self.fitted.fill_(True)
        self.train(was_training)

    def quantize(self, z_TK: Tensor) -> Quantized:
        """Replace encoded constituents by their nearest codes, with gradients."""
        quantized: Quantized = self.quantizer(z_TK)
        weight = self.config.quantization_weight
        return Quantized(quantized.z_TK, weight * quantized.loss_T, quantized.ids_T)

    def assign(self, z_TK: Tensor) -> Tensor:
        """Return the tokens of encoded constituents, (T,)."""
        return self.quantizer.assign(z_TK)

    def lookup(self, ids: Tensor) -> Tensor:
        """Return the vectors of tokens (...), shape (..., K)."""
        return self.quantizer.lookup(ids)

    @property
    def reads_parts(self) -> bool:
        """Whether codes are moved to the mean of a part's vectors before each pass."""
        return self.config.alternating > 0

    def after_step(self) -> None:
        """Replace dead codes."""
        self.quantizer.after_step()


class VqVaeConfig(AttentionConfig, CodebookConfig):
    """Options of `VqVae`; the defaults are OmniJet-alpha's (2403.05618)."""


class VqVae(VectorQuantized):
    """VQ-VAE whose tokens depend on the whole row (of jets 2401.13537, 2403.05618).

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of a constituent.
    """

    Config: ClassVar[type[Config]] = VqVaeConfig
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {"codes": 512, "width": 32, "depth": 2, "num_heads": 4},
        "s": {},
    }
    codebook: ClassVar[type[Quantizer]] = Quantizer

    def __init__(self, config: VqVaeConfig, *, feature_names: Sequence[str]) -> None:
        inputs, dim = len(feature_names), config.dim
        super().__init__(
            config,
            normformer_half(config, inputs=inputs, outputs=dim, causal=False),
            normformer_half(config, inputs=dim, outputs=inputs, causal=config.causal_decoder),
            self.codebook(config),
        )
