"""Code target: the code that the network's own tokenizer gives a removed constituent."""

from __future__ import annotations

from typing import Annotated, ClassVar

import pydantic
from torch import Tensor, nn

from hepfm.core.batch import Batch
from hepfm.core.config import Config
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.networks.network import Network
from hepfm.objectives.masked_targets.base import MaskedTarget, Removed, code_loss


class CodesConfig(Config):
    """Options of `TokenizerCodes`.

    Attributes
    ----------
    label_smoothing
        Fraction of the target spread evenly over all codes.
    """

    label_smoothing: Annotated[float, pydantic.Field(ge=0, lt=1)] = 0.0


class TokenizerCodes(MaskedTarget):
    """Cross-entropy of the tokenizer's code, found from the whole row (2401.13537, 2512.04149)."""

    Config: ClassVar[type[Config]] = CodesConfig
    reads_codes = True

    def __init__(self, config: CodesConfig, network: Network, *, width: int) -> None:
        super().__init__()
        if network.tokenizer is None:
            raise IncompatibleError(
                "objective.target=codes asks for codes, and this network has no tokenizer; name one with "
                "tokenizer.model=PATH, or use the target kmeans"
            )
        self.config = config
        self.linear = nn.Linear(width, network.tokenizer.num_codes)

    def loss(self, h_BMW: Tensor, removed: Removed, batch: Batch, draws: Draws) -> Tensor:
        """Return the cross-entropy of each constituent, (B, M)."""
        assert removed.codes_BM is not None
        return code_loss(self.linear(h_BMW), removed.codes_BM, smoothing=self.config.label_smoothing)
