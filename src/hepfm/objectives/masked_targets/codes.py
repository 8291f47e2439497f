"""Code target: the code that the network's own tokenizer gives a removed constituent."""

from __future__ import annotations

from typing import Annotated, ClassVar

import pydantic
from torch import Tensor

from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.objectives.masked_targets.base import MaskedTarget, code_loss


class CodesConfig(Config):
    """Options of `TokenizerCodes`.

    Attributes
    ----------
    label_smoothing
        Share of the target spread evenly over all codes.
    """

    label_smoothing: Annotated[float, pydantic.Field(ge=0, lt=1)] = 0.0


class TokenizerCodes(MaskedTarget):
    """Cross-entropy of the tokenizer's code, found from the whole row (2401.13537, 2512.04149)."""

    Config: ClassVar[type[Config]] = CodesConfig
    reads_codes = True

    def __init__(
        self, config: CodesConfig, *, feature_names: tuple[str, ...], num_codes: int | None = None
    ) -> None:
        super().__init__()
        if num_codes is None:
            raise IncompatibleError(
                "objective.target=codes asks for codes, and this network has no tokenizer; name one with "
                "tokenizer.model=PATH, or use the target kmeans"
            )
        self.config = config
        self.num_outputs = num_codes

    def loss(self, output_BMK: Tensor, x_BMF: Tensor, codes_BM: Tensor | None = None) -> Tensor:
        """Return the cross-entropy of each constituent, (B, M)."""
        assert codes_BM is not None
        return code_loss(output_BMK, codes_BM, smoothing=self.config.label_smoothing)
