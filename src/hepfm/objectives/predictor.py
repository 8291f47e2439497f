"""The predictor of JEPA: from the network's vectors of the context to latents of tokens at given places."""

from __future__ import annotations

import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.core.errors import ConfigError
from hepfm.nn.attention import key_bias
from hepfm.nn.blocks import PreNormBlock
from hepfm.nn.position_code import PositionCode


class PredictorConfig(Config):
    """Options of `Predictor`.

    Attributes
    ----------
    width
        Size of its vectors, a multiple of `num_heads`; None means half of the backbone's.
    depth, num_heads, feedforward_ratio
        Of its transformer blocks.
    """

    width: pydantic.PositiveInt | None = None
    depth: pydantic.PositiveInt = 3
    num_heads: pydantic.PositiveInt = 4
    feedforward_ratio: pydantic.PositiveInt = 4


class Predictor(nn.Module):
    """A small transformer over the context and one learned vector for each token of a target.

    Each target is predicted by itself: its tokens see the context and each other. One more vector, without a
    place, stands for the whole row.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    """

    def __init__(self, config: PredictorConfig, *, width: int) -> None:
        super().__init__()
        inner = config.width or width // 2
        if inner % config.num_heads:
            raise ConfigError(
                f"objective 'jepa': predictor.num_heads={config.num_heads} does not divide the predictor's "
                f"width {inner}; set predictor.width or predictor.num_heads"
            )
        self.enter = nn.Linear(width, inner)
        self.place = PositionCode(inner)
        self.hidden_W = nn.Parameter(torch.randn(inner) * 0.02)
        self.row_W = nn.Parameter(torch.randn(inner) * 0.02)
        self.blocks = nn.ModuleList(
            PreNormBlock(inner, num_heads=config.num_heads, ratio=config.feedforward_ratio, dropout=0.0)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(inner)
        self.leave = nn.Linear(inner, width)

    def forward(
        self,
        row_BKD: Tensor,
        context_BCD: Tensor,
        context_mask_BC: Tensor,
        context_place_BC2: Tensor,
        target_mask_BTM: Tensor,
        target_place_BTM2: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the predicted latents of the targets' tokens, (B, T, M, D), and of the row, (B, T, D).

        Parameters
        ----------
        row_BKD
            The backbone's vectors of the whole context.
        context_BCD, context_mask_BC, context_place_BC2
            Its vectors of the context's tokens, which are real, and their places.
        target_mask_BTM, target_place_BTM2
            Which tokens of the targets are real, and their places.
        """
        rows, targets, length = target_mask_BTM.shape
        context_BCW = self.enter(context_BCD) + self.place(context_place_BC2)
        seen_BXW = torch.cat([self.enter(row_BKD), context_BCW], dim=1)
        seen_BX = F.pad(context_mask_BC, (row_BKD.shape[1], 0), value=True)
        asked_BTMW = self.hidden_W + self.place(target_place_BTM2)
        asked_BTYW = torch.cat([self.row_W.expand(rows, targets, 1, -1), asked_BTMW], dim=2)
        asked_SYW = asked_BTYW.flatten(0, 1)
        x_SLW = torch.cat([seen_BXW.repeat_interleave(targets, 0), asked_SYW.to(seen_BXW.dtype)], dim=1)
        real_SY = F.pad(target_mask_BTM.flatten(0, 1), (1, 0), value=True)
        bias = key_bias(torch.cat([seen_BX.repeat_interleave(targets, 0), real_SY], dim=1), x_SLW.dtype)
        for block in self.blocks:
            x_SLW = block(x_SLW, bias)
        out_SYD = self.leave(self.norm(x_SLW[:, -(length + 1) :]))
        out_BTYD = out_SYD.view(rows, targets, length + 1, -1)
        return out_BTYD[:, :, 1:], out_BTYD[:, :, 0]
