"""The ids of a sequence of tokens, and their legal order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hepfm.core.errors import DataError
from hepfm.tokenizers.base import PADDING


@dataclass(frozen=True)
class Vocabulary:
    """Tokens 0 to C - 1, then stop, start and padding, each with an id of its own.

    A sequence is ``start token ... token stop padding ... padding``. Start and padding are never predicted.
    In the public code of OmniJet-alpha padding is the start (2403.05618).

    Attributes
    ----------
    num_codes
        C.
    """

    num_codes: int

    @property
    def stop(self) -> int:
        """Id of the end of a row; the last of the ids that are predicted."""
        return self.num_codes

    @property
    def start(self) -> int:
        """Id of the start of a row."""
        return self.num_codes + 1

    @property
    def padding(self) -> int:
        """Id of the padding after the stop."""
        return self.num_codes + 2

    def sequence(self, codes_BN: Tensor) -> Tensor:
        """Return sequences, int64 (B, N + 2), of tokens, negative for padding."""
        real_BN = codes_BN >= 0
        ids_BT = torch.full((len(codes_BN), codes_BN.shape[1] + 2), self.padding, device=codes_BN.device)
        ids_BT[:, 0] = self.start
        ids_BT[:, 1:-1][real_BN] = codes_BN[real_BN]
        ids_BT.scatter_(1, real_BN.sum(1, keepdim=True) + 1, self.stop)
        return ids_BT

    def codes(self, ids_BT: Tensor) -> Tensor:
        """Return the tokens, int64 (B, T - 2), of sequences, negative for padding; see `sequence`.

        Raises
        ------
        DataError
            When a sequence has an unknown id or an illegal order; the message names the first such row.
        """
        position_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
        code_BT = (ids_BT >= 0) & (ids_BT < self.num_codes)
        end_B = 1 + code_BT[:, 1:].to(torch.int64).cumprod(1).sum(1)
        legal_BT = torch.where(position_T < end_B[:, None], code_BT, ids_BT == self.padding)
        legal_BT[:, 0] = ids_BT[:, 0] == self.start
        at_end_B1 = end_B.clamp(max=ids_BT.shape[1] - 1)[:, None]
        has_stop_B = (ids_BT.gather(1, at_end_B1) == self.stop)[:, 0]
        legal_BT.scatter_(1, at_end_B1, has_stop_B[:, None])
        if not bool(legal_BT.all()):
            row, place = (int(number) for number in (~legal_BT).nonzero()[0])
            raise DataError(
                f"sequence {row} has the illegal id {int(ids_BT[row, place])} at place {place}; legal is one "
                f"start ({self.start}), tokens 0 to {self.num_codes - 1}, one stop ({self.stop}), then "
                f"padding ({self.padding})"
            )
        return torch.where(code_BT, ids_BT, PADDING)[:, 1:-1]
