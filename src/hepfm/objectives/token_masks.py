"""Context and targets among the tokens of a row: at random, or in one piece of the eta-phi plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pydantic
import torch
from torch import Tensor

from hepfm.core.config import Config
from hepfm.core.draws import RowDraws

_Fraction = Annotated[float, pydantic.Field(gt=0, le=1)]


class TokenMasksConfig(Config):
    """How context and targets are drawn; the defaults are those of Point-JEPA (2404.16432).

    Attributes
    ----------
    order
        ``"contiguous"``: targets and context are pieces of a chain of tokens, from the hardest always on to
        the nearest that is left. ``"random"``: any tokens.
    targets
        Number of targets, which may overlap; each is predicted by itself.
    target_fraction
        Smallest and largest fraction of the tokens that is in a target.
    context_fraction
        The same of the context, from which the targets are taken out; None for all tokens that are in no
        target.
    leading
        Targets are drawn among so many leading tokens only (10 of 20 subjets in J-JEPA); None for all.
    """

    order: Literal["contiguous", "random"] = "contiguous"
    targets: pydantic.PositiveInt = 4
    target_fraction: tuple[_Fraction, _Fraction] = (0.15, 0.2)
    context_fraction: tuple[_Fraction, _Fraction] | None = (0.4, 0.75)
    leading: pydantic.PositiveInt | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> TokenMasksConfig:
        for low, high in (self.target_fraction, self.context_fraction or (1.0, 1.0)):
            if low > high:
                raise ValueError("the smallest fraction comes first")
        return self


@dataclass(frozen=True)
class TokenMasks:
    """Which tokens are what; no token of the context is in a target.

    Attributes
    ----------
    context_BG
        At least one token of each row that has any.
    target_BTG
        Of T targets; none in rows of fewer than two tokens.
    """

    context_BG: Tensor
    target_BTG: Tensor


def draw_masks(config: TokenMasksConfig, mask_BG: Tensor, centre_BG2: Tensor, draws: RowDraws) -> TokenMasks:
    """Draw context and targets of rows.

    Parameters
    ----------
    config
        How.
    mask_BG, centre_BG2
        Which tokens are real, and where they are.
    draws
        Of the rows.
    """
    chain_BG = nearest_chain(centre_BG2, mask_BG) if config.order == "contiguous" else None
    eligible_BG = mask_BG.clone()
    if config.leading:
        eligible_BG[:, config.leading :] = False
    numbers = range(config.targets)
    target_BTG = torch.stack(
        [
            _piece(config.target_fraction, mask_BG, eligible_BG, chain_BG, draws, f"target_{t}")
            for t in numbers
        ],
        dim=1,
    )
    hidden_BG = target_BTG.any(1)
    context_BG = mask_BG & ~hidden_BG
    if config.context_fraction:
        drawn_BG = _piece(config.context_fraction, mask_BG, mask_BG, chain_BG, draws, "context") & ~hidden_BG
        context_BG = torch.where(drawn_BG.any(1, keepdim=True), drawn_BG, context_BG)
    # Targets may cover a short row: then its first token is shown.
    first_BG = mask_BG & (torch.arange(mask_BG.shape[1], device=mask_BG.device) == 0)
    context_BG = torch.where(context_BG.any(1, keepdim=True), context_BG, first_BG)
    return TokenMasks(context_BG, target_BTG & ~context_BG[:, None])


def _piece(
    fraction: tuple[float, float],
    mask_BG: Tensor,
    eligible_BG: Tensor,
    chain_BG: Tensor | None,
    draws: RowDraws,
    name: str,
) -> Tensor:
    """Return tokens of one piece of the chain, or any, as many as a fraction of all; (B, G)."""
    low, high = fraction
    share_B = low + (high - low) * draws.uniform(f"{name}.share")
    pool_B = eligible_BG.sum(1)
    number_B = torch.minimum((share_B * mask_BG.sum(1)).round().long().clamp(min=1), pool_B)
    if chain_BG is None:
        score_BG = draws.uniform(f"{name}.order", mask_BG.shape[1])
        start_B = torch.zeros_like(number_B)
    else:
        score_BG = chain_BG.to(torch.float32)
        start_B = (draws.uniform(f"{name}.start") * (pool_B - number_B + 1)).long()
    rank_BG = score_BG.masked_fill(~eligible_BG, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)
    return eligible_BG & (rank_BG >= start_B[:, None]) & (rank_BG < (start_B + number_B)[:, None])


@torch.no_grad()
def nearest_chain(centre_BG2: Tensor, mask_BG: Tensor) -> Tensor:
    """Return the place of each token in a chain, int64 (B, G); padding comes last.

    The chain begins with the first token; the next is always the nearest that is left. That of Point-JEPA
    (2404.16432) begins at a corner of the cloud.
    """
    place_BG = torch.zeros(mask_BG.shape, dtype=torch.int64, device=mask_BG.device)
    left_BG, present_B = mask_BG.clone(), torch.zeros(len(mask_BG), dtype=torch.int64, device=mask_BG.device)
    for place in range(mask_BG.shape[1]):
        place_BG.scatter_(1, present_B[:, None], place)
        left_BG.scatter_(1, present_B[:, None], False)
        here_B12 = centre_BG2.gather(1, present_B[:, None, None].expand(-1, 1, 2))
        distance_BG = (centre_BG2 - here_B12).square().sum(-1).masked_fill(~left_BG, torch.inf)
        present_B = distance_BG.argmin(1)
    # Rows that have come to their end went on to their first token.
    place_BG[:, :1] = 0
    return place_BG.masked_fill(~mask_BG, mask_BG.shape[1])
