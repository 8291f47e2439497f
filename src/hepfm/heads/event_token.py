"""EveNet's classification head: the event token attends to the objects, a gated layer, class logits."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.heads.base import Head
from hepfm.nn.attention import key_bias
from hepfm.nn.dropout import Dropout
from hepfm.nn.feedforward import FeedForward
from hepfm.nn.gated import GatedLayer
from hepfm.nn.linear import Linear
from hepfm.nn.pooling import summary


class EventTokenConfig(Config):
    """Options of `EventToken`; the defaults are those of 2601.17126 (public configuration, 20M).

    Attributes
    ----------
    num_heads
        H, a divisor of the backbone's width.
    num_layers
        Gated layers before the last linear layer.
    dropout
        Rate on attention weights and hidden activations.
    """

    num_heads: PositiveInt = 8
    num_layers: PositiveInt = 1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1


class EventToken(Head):
    """Class logits of the backbone's summary after it gathered from the constituents (2601.17126).

    The published head has batch normalisation before its last layer; of a converted one it is part of that
    layer's weights.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    num_outputs
        Number of classes K.
    """

    Config: ClassVar[type[Config]] = EventTokenConfig

    def __init__(self, config: EventTokenConfig, *, width: int, num_outputs: int) -> None:
        super().__init__()
        if width % config.num_heads:
            raise IncompatibleError(
                f"head event_token: the backbone's width {width} is not a multiple of num_heads "
                f"{config.num_heads}; set num_heads to a divisor"
            )
        self.num_heads = config.num_heads
        self.key_norm, self.gathered_norm, self.norm = (nn.LayerNorm(width) for _ in range(3))
        self.query = Linear(width, width)
        self.key_value = Linear(width, 2 * width)
        self.out_proj = Linear(width, width)
        self.dropout = Dropout(config.dropout)
        self.feedforward = FeedForward(width, ratio=2, dropout=config.dropout)
        self.layers = nn.Sequential(
            *(GatedLayer(width, width, dropout=config.dropout) for _ in range(config.num_layers))
        )
        self.linear = nn.Linear(width, num_outputs)

    def forward(self, features: Features, mask_BN: Tensor) -> Tensor:
        """Return logits, (B, K)."""
        event_BD = summary(features.tokens_BND, features.pooled_BD, mask_BN)
        gathered_BD = self.gathered_norm(self._gather(event_BD, features.tokens_BND, mask_BN)) + event_BD
        event_BD = event_BD + self.feedforward(self.norm(gathered_BD))
        logits_BK: Tensor = self.linear(self.layers(event_BD))
        return logits_BK

    def _gather(self, event_BD: Tensor, x_BND: Tensor, mask_BN: Tensor) -> Tensor:
        heads = (self.num_heads, -1)
        q_BH1K = self.query(event_BD)[:, None].unflatten(-1, heads).transpose(1, 2)
        k_BHNK, v_BHNK = (
            part.unflatten(-1, heads).transpose(1, 2)
            for part in self.key_value(self.key_norm(x_BND)).chunk(2, dim=-1)
        )
        rate = self.dropout.rate if self.training else 0.0
        bias = key_bias(mask_BN, q_BH1K.dtype)
        gathered = F.scaled_dot_product_attention(q_BH1K, k_BHNK, v_BHNK, attn_mask=bias, dropout_p=rate)
        out_BD: Tensor = self.out_proj(gathered.transpose(1, 2).flatten(1))
        return out_BD
