"""Initial weights of transformers."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from hepfm.nn.attention import MultiHeadAttention
from hepfm.nn.feedforward import FeedForward


@torch.no_grad()
def init_transformer(module: nn.Module, blocks: Iterable[nn.Module]) -> None:
    """Set the linear layers below `module`: Xavier-uniform (query, key and value each alone), zero biases.

    The output layers of block l (counted from 1) are divided by sqrt(2 l), so that early in training the
    residual stream grows slowly. Both are what the Particle Transformer's public implementation does.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    for part in module.modules():
        if isinstance(part, MultiHeadAttention):
            limit = math.sqrt(3.0 / part.out_proj.in_features)
            nn.init.uniform_(part.in_proj.weight, -limit, limit)
    for number, block in enumerate(blocks, start=1):
        for part in block.modules():
            if isinstance(part, MultiHeadAttention):
                part.out_proj.weight /= math.sqrt(2 * number)
            if isinstance(part, FeedForward):
                part.contract.weight /= math.sqrt(2 * number)
