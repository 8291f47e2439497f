"""Selected constituents of each row: where they stand, and a batch that shows nothing of the others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.groupings.base import Groups
from hepfm.networks.network import Network
from hepfm.nn.momenta import relative_to_visible


@dataclass(frozen=True)
class Selection:
    """Where selected constituents stand: in their order, cut to the longest row.

    Attributes
    ----------
    index_BM
        Positions in the row.
    mask_BM
        True where one was selected.
    """

    index_BM: Tensor
    mask_BM: Tensor

    @classmethod
    def of(cls, selected_BN: Tensor) -> Selection:
        """Return the positions of the selected constituents; at least one column wide."""
        count_B = selected_BN.sum(1)
        width = max(int(count_B.max()), 1) if len(count_B) else 1
        order_BN = torch.argsort((~selected_BN).to(torch.uint8), dim=1, stable=True)
        index_BM = order_BN[:, :width]
        return cls(index_BM, torch.arange(width, device=index_BM.device) < count_B[:, None])

    def gather(self, values_BNF: Tensor) -> Tensor:
        """Return the selected values, (B, M, F), zero where none was selected."""
        index_BMF = self.index_BM[..., None].expand(-1, -1, values_BNF.shape[-1])
        return values_BNF.gather(1, index_BMF) * self.mask_BM[..., None]


def constituent_mean(values_BN: Tensor, mask_BN: Tensor) -> Tensor:
    """Return the mean over the constituents of each row that the mask marks, (B,); zero without any."""
    return (values_BN * mask_BN).sum(-1) / mask_BN.sum(-1).clamp(min=1)


def random_ranks(batch: Batch, draws: Draws, name: str) -> Tensor:
    """Return a random order, from 0, of each row's real constituents; padding comes last."""
    score_BN = draws.rows(batch.rows_B).uniform(f"{name}.ranks", batch.mask_BN.shape[1])
    score_BN = score_BN.masked_fill(~batch.mask_BN, 2.0)
    return score_BN.argsort(dim=1, stable=True).argsort(dim=1)


def random_part(batch: Batch, draws: Draws, name: str, *, keep: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Return a random part of each row's constituents, (B, N), at least one; and the fraction drawn, (B,).

    Parameters
    ----------
    keep
        Smallest and largest fraction that is kept; drawn evenly per row.
    """
    low, high = keep
    kept_B = low + (high - low) * draws.rows(batch.rows_B).uniform(f"{name}.share")
    count_B = (kept_B * batch.mask_BN.sum(1)).round().clamp(min=1)
    return batch.mask_BN & (random_ranks(batch, draws, name) < count_B[:, None]), kept_B


def gather_groups(batch: Batch, groups: Groups, shown_BG: Tensor, network: Network) -> tuple[Batch, Groups]:
    """Return the batch with only the members of some groups, and these groups; see `gather_visible`.

    A constituent that is in a shown and in a hidden group is shown.
    """
    kept_T = shown_BG.flatten()[groups.group_T]
    member_T, group_T = groups.constituent_T[kept_T], groups.group_T[kept_T]
    visible_BN = torch.zeros_like(batch.mask_BN)
    visible_BN.view(-1)[member_T] = True
    shown, selection = gather_visible(batch, visible_BN, network), Selection.of(shown_BG)
    return shown, Groups(
        _moved(visible_BN, shown.mask_BN.shape[1])[member_T],
        _moved(shown_BG, selection.mask_BM.shape[1])[group_T],
        selection.mask_BM,
        selection.gather(groups.centre_BG2),
    )


def _moved(kept_BN: Tensor, width: int) -> Tensor:
    """Return the flat position that each kept entry has among the kept ones of its row, (B * N,)."""
    row_B1 = torch.arange(len(kept_BN), device=kept_BN.device)[:, None]
    return (row_B1 * width + kept_BN.long().cumsum(1) - 1).flatten()


def gather_visible(batch: Batch, visible_BN: Tensor, network: Network) -> Batch:
    """Return the batch with only the visible constituents.

    What is known of the row as a whole, its context and momenta relative to it, is that of the visible ones:
    the sum over all constituents would tell what the others have.
    """
    selection = Selection.of(visible_BN)
    p4_BM4 = None if batch.p4_BN4 is None else selection.gather(batch.p4_BN4)
    features_BMF = relative_to_visible(
        selection.gather(batch.features_BNF), selection.mask_BM, p4_BM4, network.feature_names
    )
    return replace(
        batch,
        features_BNF=features_BMF,
        mask_BN=selection.mask_BM,
        p4_BN4=p4_BM4,
        subjets={},  # made of all constituents
        context_BC=network.visible_context(batch.context_BC, selection.mask_BM, p4_BM4),
    )


def blank_hidden(batch: Batch, hidden_BN: Tensor, network: Network) -> tuple[Batch, Tensor, Tensor]:
    """Return the batch with the hidden constituents as empty places behind the visible ones.

    Returns
    -------
    batch
        Rows as long as they were; features and momenta of the empty places are zero, what is known of the
        row as a whole is that of the visible ones, and the mask counts both.
    hidden_BN
        Where the empty places are.
    rank_BN
        Place that each constituent had in its row.
    """
    visible_BN = batch.mask_BN & ~hidden_BN
    visible = gather_visible(batch, visible_BN, network)
    rank_BN = torch.argsort(hidden_BN + 2 * (~batch.mask_BN).to(torch.uint8), dim=1, stable=True)
    empty = batch.mask_BN.shape[1] - visible.mask_BN.shape[1]
    p4_BM4 = visible.p4_BN4
    blank = replace(
        visible,
        features_BNF=F.pad(visible.features_BNF, (0, 0, 0, empty)),
        mask_BN=batch.mask_BN.gather(1, rank_BN),
        p4_BN4=None if p4_BM4 is None else F.pad(p4_BM4, (0, 0, 0, empty)),
    )
    return blank, hidden_BN.gather(1, rank_BN), rank_BN
