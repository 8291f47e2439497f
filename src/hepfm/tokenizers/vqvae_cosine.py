"""VQ-VAE whose codes are compared by direction only."""

from __future__ import annotations

from typing import ClassVar

from hepfm.tokenizers.quantizer import CosineQuantizer, Quantizer
from hepfm.tokenizers.vqvae import VqVae


class VqVaeCosine(VqVae):
    """`VqVae` with the nearest code by cosine similarity: vectors and codes are scaled to length 1."""

    codebook: ClassVar[type[Quantizer]] = CosineQuantizer
