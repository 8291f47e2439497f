"""From constituents to one vector per row."""

from __future__ import annotations

from torch import Tensor


def masked_mean(x_BND: Tensor, mask_BN: Tensor) -> Tensor:
    """Return the mean over real constituents, (B, D); zero for a row without any."""
    real_BN1 = mask_BN[..., None].to(x_BND.dtype)
    return (x_BND * real_BN1).sum(1) / real_BN1.sum(1).clamp(min=1)


def summary(tokens_BND: Tensor, pooled_BD: Tensor | None, mask_BN: Tensor) -> Tensor:
    """Return the row's own summary if there is one, otherwise the mean of its constituents; (B, D)."""
    return masked_mean(tokens_BND, mask_BN) if pooled_BD is None else pooled_BD


def row_tokens(tokens_BND: Tensor, pooled_BD: Tensor | None, registers_BKD: Tensor | None) -> Tensor:
    """Return the tokens that a backbone has of the whole row, (B, K, D): its registers, else its summary."""
    if registers_BKD is not None:
        return registers_BKD
    return tokens_BND[:, :0] if pooled_BD is None else pooled_BD[:, None]
