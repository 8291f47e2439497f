"""VQ-VAE whose encoder and decoder act on each constituent separately."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import PositiveInt

from hepfm.core.config import Config
from hepfm.tokenizers.halves import MlpConfig, MlpHalf
from hepfm.tokenizers.quantizer import Quantizer
from hepfm.tokenizers.vqvae import CodebookConfig, VectorQuantized


class VqVaeMlpConfig(MlpConfig, CodebookConfig):
    """Options of `VqVaeMlp`; the defaults are OmniJet-alpha's unconditional tokenizer (2403.05618)."""

    depth: PositiveInt = 3


class VqVaeMlp(VectorQuantized):
    """VQ-VAE whose token of a constituent depends only on that constituent (unconditional).

    Parameters
    ----------
    config
        Options.
    feature_names
        The F features of a constituent.
    """

    Config: ClassVar[type[Config]] = VqVaeMlpConfig
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "xs": {"codes": 512, "width": 32, "depth": 2},
        "s": {},
    }

    def __init__(self, config: VqVaeMlpConfig, *, feature_names: Sequence[str]) -> None:
        inputs, dim = len(feature_names), config.dim
        super().__init__(
            config,
            MlpHalf(config, inputs=inputs, outputs=dim),
            MlpHalf(config, inputs=dim, outputs=inputs),
            Quantizer(config),
        )
