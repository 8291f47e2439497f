"""Classification head: a linear layer on the row's summary, with hidden layers before it if asked for."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config
from hepfm.heads.base import Head
from hepfm.nn.hidden import HiddenLayers
from hepfm.nn.pooling import summary


class ClassifyConfig(Config):
    """Options of `Classify`.

    Attributes
    ----------
    hidden
        Sizes of hidden layers, Linear and ReLU, between the summary and the last linear layer.
    dropout
        Rate on what each hidden layer returns; without any, on the summary.
    """

    hidden: tuple[PositiveInt, ...] = ()
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Classify(Head):
    """Class logits from the backbone's own summary, or from the mean of its constituents if it has none.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    num_outputs
        Number of classes K.
    """

    Config: ClassVar[type[Config]] = ClassifyConfig

    def __init__(self, config: ClassifyConfig, *, width: int, num_outputs: int) -> None:
        super().__init__()
        self.config = config
        self.hidden = HiddenLayers(width, config.hidden, dropout=config.dropout)
        self.linear = nn.Linear(self.hidden.width, num_outputs)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return logits, (B, K)."""
        logits_BK: Tensor = self.linear(
            self.hidden(summary(features.tokens_BND, features.pooled_BD, mask_BN))
        )
        return logits_BK
