"""The contract of a grouping: between `embed` and `encode` of a backbone, constituents become groups."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import IncompatibleError
from hepfm.data.clustering import Clustering
from hepfm.data.feature_names import AXES


@dataclass(frozen=True)
class Groups:
    """Which constituents belong to which group: T memberships; a constituent may have several, or none.

    Memberships come row after row.

    Attributes
    ----------
    constituent_T
        Position in the flattened batch of constituents, row * N + constituent.
    group_T
        Position in the flattened batch of groups, row * G + group.
    mask_BG
        True = real; real groups come first.
    centre_BG2
        deta and dphi of each group; zero where the mask is false.
    """

    constituent_T: Tensor
    group_T: Tensor
    mask_BG: Tensor
    centre_BG2: Tensor

    def sums(self, values_BNF: Tensor) -> Tensor:
        """Return the sum of values over the members of each group, (B, G, F)."""
        members_TF = values_BNF.flatten(0, 1)[self.constituent_T]
        rows, groups = self.mask_BG.shape
        sums_SF = members_TF.new_zeros(rows * groups, members_TF.shape[1])
        return sums_SF.index_add(0, self.group_T, members_TF).view(rows, groups, -1)

    def means(self, values_BNF: Tensor) -> Tensor:
        """Return the mean of values over the members of each group, (B, G, F); zero without any."""
        count_BG1 = self.sums(torch.ones_like(values_BNF[..., :1]))
        return self.sums(values_BNF) / count_BG1.clamp(min=1)


class Grouping(nn.Module):
    """Embedded constituents in, embedded groups out. Built by ``cls(config, width=D, feature_names=...)``.

    A grouping belongs to the network and is kept in its model directory: fine-tuning has the same tokens.
    """

    Config: ClassVar[type[BaseConfig]]
    groups: ClassVar[bool] = True
    """False for a grouping whose tokens are the constituents: the network then has none."""

    def __init__(self, config: BaseConfig, *, width: int, feature_names: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        missing = [name for name in AXES if name not in feature_names]
        if missing and self.groups:
            raise IncompatibleError(
                f"a grouping needs the features {' and '.join(AXES)}, which are not among "
                f"{', '.join(feature_names)}; choose a feature set of jets, or grouping=particles"
            )
        self.axes = [list(feature_names).index(name) for name in AXES if name in feature_names]

    @classmethod
    def clusterings(cls, config: BaseConfig) -> tuple[Clustering, ...]:
        """Return the subjets that batches must have. None by default: groups are made of what is shown."""
        return ()

    @abstractmethod
    def assign(self, features_BNF: Tensor, mask_BN: Tensor, subjets: Mapping[str, Tensor]) -> Groups:
        """Return the groups of rows.

        Parameters
        ----------
        features_BNF, mask_BN
            Physical features, and which are real.
        subjets
            The subjets of `clusterings`; see `hepfm.core.batch.Batch.subjets`.
        """

    @abstractmethod
    def forward(self, h_BND: Tensor, features_BNF: Tensor, groups: Groups) -> Tensor:
        """Return a vector of each group, (B, G, D), from embedded constituents and physical features."""
