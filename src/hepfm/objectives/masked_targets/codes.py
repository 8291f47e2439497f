"""Code target: the code that the network's own tokenizer gives a hidden constituent."""

from __future__ import annotations

from typing import Annotated, ClassVar

import pydantic
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.networks.network import Network
from hepfm.objectives.masked_targets.base import Hidden, MaskedTarget, Shown, code_loss


class CodesConfig(Config):
    """Options of `TokenizerCodes`.

    Attributes
    ----------
    label_smoothing
        Fraction of the target spread evenly over all codes.
    """

    label_smoothing: Annotated[float, pydantic.Field(ge=0, lt=1)] = 0.0


class TokenizerCodes(MaskedTarget):
    """Cross-entropy of the tokenizer's code, found from the whole row (2401.13537, 2512.04149).

    The tokenizer reads features as they are: impact parameters of neutral constituents are zero.
    """

    Config: ClassVar[type[Config]] = CodesConfig
    reads_codes = True

    def __init__(self, config: CodesConfig, network: Network, *, width: int) -> None:
        super().__init__()
        if network.tokenizer is None:
            raise IncompatibleError(
                "objective.targets: 'codes' asks for codes, and this network has no tokenizer; name one with "
                "tokenizer.model=PATH, or use the target kmeans"
            )
        self.config = config
        self.linear = nn.Linear(width, network.tokenizer.num_codes)

    def loss(self, hidden: Hidden, shown: Shown) -> Tensor:
        """Return the cross-entropy of each constituent, (B, M)."""
        assert hidden.codes_BM is not None
        return code_loss(self.linear(shown.vectors), hidden.codes_BM, smoothing=self.config.label_smoothing)
