"""VQ-VAE: a learned codebook between an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from hepfm.core.config import Config
from hepfm.tokenizers.autoencoder import Autoencoder, AutoencoderConfig
from hepfm.tokenizers.quantizer import Quantized, Quantizer, QuantizerConfig


class VqVaeConfig(AutoencoderConfig, QuantizerConfig):
    """Options of `VqVae`: those of `AutoencoderConfig` and of `QuantizerConfig`, and

    Attributes
    ----------
    quantization_weight
        Weight of the quantisation loss beside the squared error; 10 in 2403.05618.
    """

    quantization_weight: Annotated[float, Field(ge=0)] = 10.0


class VqVae(Autoencoder):
    """VQ-VAE of constituents (1711.00937; of jets 2401.13537, 2403.05618).

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of a constituent.
    """

    Config: ClassVar[type[Config]] = VqVaeConfig
    fitted: Tensor
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {"codes": 512, "width": 32, "depth": 2, "num_heads": 4},
        "omnijet_alpha": {},
        "omnijet_alpha_improved": {
            "block": "transformer",
            "causal_decoder": True,
            "dim": 8,
            "dropout": 0.0,
            "layer_scale": 1.0,
            "replace_after": 500,
            "kmeans_start": False,
        },
        "omnijet_alpha_c": {"codes": 65536, "dim": 12, "replace_after": 100, "kmeans_start": False},
        "omnijet_alpha_tau": {"codes": 32000},
    }

    def __init__(self, config: VqVaeConfig, *, feature_names: Sequence[str]) -> None:
        super().__init__(config, feature_names=feature_names, dim=config.dim)
        self.config = config
        self.num_codes = config.codes
        self.quantizer = Quantizer(config)
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, rows: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Start the codes from encoded constituents, if the config says so."""
        if self.fitted or not self.config.kmeans_start:
            return
        was_training = self.training
        self.eval()
        vectors = [self.encoder(x_BNF, mask_BN)[mask_BN] for x_BNF, mask_BN in rows]
        self.quantizer.start(torch.cat(vectors), where="tokenizer.codes")
        self.fitted.fill_(True)
        self.train(was_training)

    def quantize(self, z_TK: Tensor) -> Quantized:
        """Put encoded constituents on their codes, with gradients."""
        found: Quantized = self.quantizer(z_TK)
        weight = self.config.quantization_weight
        return Quantized(found.z_TK, weight * found.loss_T, found.ids_T)

    def assign(self, z_TK: Tensor) -> Tensor:
        """Return the codes' numbers of encoded constituents, (T,)."""
        return self.quantizer.assign(z_TK)

    def lookup(self, ids: Tensor) -> Tensor:
        """Return the vectors of codes (...), shape (..., K)."""
        return self.quantizer.lookup(ids)

    @property
    def reads_parts(self) -> bool:
        """Whether codes are moved to the mean of a part's vectors before each pass."""
        return self.config.alternating > 0

    def after_step(self) -> None:
        """Replace dead codes."""
        self.quantizer.after_step()
