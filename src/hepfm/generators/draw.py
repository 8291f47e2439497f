"""One of several, drawn by a uniform number: the same draw on every machine, and in exported networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.nn.tracing import is_traced

_GROUP = 64
"""Numbers whose probabilities are summed first when one is drawn."""


def draw_index(probability_BC: Tensor, uniform_B: Tensor) -> Tensor:
    """Return where the running sum of each row passes a fraction of the whole, int64 (B,).

    In two steps, over groups and within one: running sums over thousands of numbers are slow on a processor.

    Parameters
    ----------
    probability_BC
        Probabilities, or numbers proportional to them.
    uniform_B
        The fractions, in [0, 1).
    """
    padded_BC = F.pad(probability_BC, (0, -probability_BC.shape[1] % _GROUP))
    group_BGK = padded_BC.view(padded_BC.shape[0], -1, _GROUP)
    sum_BG = group_BGK.sum(-1)
    reached_BG = sum_BG.cumsum(-1)
    target_B = uniform_B * reached_BG[:, -1]
    group_B = _passed(reached_BG, target_B)
    before_B = (reached_BG - sum_BG).gather(1, group_B[:, None])[:, 0]
    chosen_BK = group_BGK.gather(1, group_B[:, None, None].expand(-1, 1, _GROUP))[:, 0]
    return group_B * _GROUP + _passed(chosen_BK.cumsum(-1), target_B - before_B)


def _passed(reached_BC: Tensor, target_B: Tensor) -> Tensor:
    """Return the first place above the target; where rounding leaves none, the first at the whole sum."""
    if is_traced():  # ONNX has no search
        place_B = (reached_BC <= target_B[:, None]).sum(1)
        last_B = (reached_BC < reached_BC[:, -1:]).sum(1)
    else:
        place_B = torch.searchsorted(reached_BC, target_B[:, None], right=True)[:, 0]
        last_B = torch.searchsorted(reached_BC, reached_BC[:, -1:].contiguous())[:, 0]
    return torch.minimum(place_B, last_B)
