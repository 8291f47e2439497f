"""The contract of a backbone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from hepfm.core.config import Config


@dataclass(frozen=True)
class Features:
    """What a backbone returns.

    Attributes
    ----------
    tokens_BND
        One feature vector per constituent; zero where the mask is false.
    pooled_BD
        One vector per row, when the backbone has a summary of its own (class token, registers); else None.
    registers_BKD
        The backbone's own tokens of the row, for heads that read them one by one; None without any.
    """

    tokens_BND: Tensor
    pooled_BD: Tensor | None = None
    registers_BKD: Tensor | None = None


class Backbone(nn.Module):
    """Constituents in, features out. Subclasses are built by ``cls(config, feature_names=("log_pt", ...))``.

    `feature_names` are the F columns of the input in their order. Inputs are already standardised; rows may
    be padded to any length, and the output of real constituents must not depend on the padding. A row without
    any constituent gives finite numbers.
    """

    Config: ClassVar[type[Config]]
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    supports: ClassVar[frozenset[str]] = frozenset()
    """Of ``{"causal", "registers", "pairwise", "condition", "pooled"}``."""

    width: int
    """D, the size of the feature vectors."""

    @abstractmethod
    def forward(
        self,
        x_BNF: Tensor,
        mask_BN: Tensor,
        p4_BN4: Tensor | None = None,
        *,
        physical_BNF: Tensor | None = None,
        condition_BKD: Tensor | None = None,
    ) -> Features:
        """Return the features of a batch.

        Parameters
        ----------
        x_BNF
            Standardised constituent features.
        mask_BN
            Boolean, True = real; real constituents come first.
        p4_BN4
            Four-momenta (E, px, py, pz) in GeV, for backbones that support ``"pairwise"``.
        physical_BNF
            The features before standardisation, for geometry; None stands for `x_BNF`.
        condition_BKD
            Tokens that every constituent sees (time, jet), for backbones that support ``"condition"``. The
            features of constituents are returned without them.
        """

    def layers(self) -> list[list[nn.Parameter]]:
        """Return the parameters in groups from input to output, for layer-wise learning rates."""
        return [list(self.parameters())]
