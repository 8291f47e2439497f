"""Batch: what loaders give to models, in physical units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True)
class Batch:
    """B rows (jets, events, showers) of up to N constituents each.

    Attributes
    ----------
    features_BNF
        Constituent features of the feature set, float32, not normalised; zero where the mask is false.
    mask_BN
        Boolean, True = real. Real constituents come first.
    p4_BN4
        Four-momenta (E, px, py, pz) in GeV; zero where the mask is false. None when the data have none. The z
        axis is the beam's; the azimuth that counts as zero and the boost along the beam are arbitrary: those
        of the laboratory where momenta were measured, those of the row's own axis where they are made of
        features. Code that reads them must not depend on either.
    context_BC
        Row-level features (e.g. jet pt), not normalised. None when none was asked for.
    labels
        Targets by field name: int64 of shape (B,) for a categorical field, float32 (B,) for others. Of a
        field of the constituents (B, N): int64 for whole numbers and -1 in padding, float32 and 0 for others.
    weights_B
        Weight of each row in a loss. None means 1.
    rows_B
        Row number in the store or table, int64.
    group_B
        Number of the group of each row, int64: rows with the same number belong together. None when the data
        have no groups.
    subjets
        Number of the subjet of each constituent, int64 (B, N), by the name of the clustering: 0 for the
        hardest, -1 in padding.
    absent
        Groups of features that the data lack: all of theirs are zero.
    targets
        What is to be predicted and is no field of the rows, float32 (B, ...), by the name of the target set.
    """

    features_BNF: Tensor
    mask_BN: Tensor
    rows_B: Tensor
    p4_BN4: Tensor | None = None
    context_BC: Tensor | None = None
    labels: Mapping[str, Tensor] = field(default_factory=dict)
    weights_B: Tensor | None = None
    group_B: Tensor | None = None
    subjets: Mapping[str, Tensor] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    targets: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.mask_BN.shape[0]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """Return the batch on another device."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        return replace(
            self,
            features_BNF=move(self.features_BNF),
            mask_BN=move(self.mask_BN),
            rows_B=move(self.rows_B),
            p4_BN4=None if self.p4_BN4 is None else move(self.p4_BN4),
            context_BC=None if self.context_BC is None else move(self.context_BC),
            labels={name: move(tensor) for name, tensor in self.labels.items()},
            weights_B=None if self.weights_B is None else move(self.weights_B),
            group_B=None if self.group_B is None else move(self.group_B),
            subjets={name: move(tensor) for name, tensor in self.subjets.items()},
            targets={name: move(tensor) for name, tensor in self.targets.items()},
        )
