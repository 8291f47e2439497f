"""The contract of a backbone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.nn.attention import KeyValues


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
    prefix_BKD
        What became of the condition tokens, in a causal pass; else None.
    """

    tokens_BND: Tensor
    pooled_BD: Tensor | None = None
    registers_BKD: Tensor | None = None
    prefix_BKD: Tensor | None = None


class Backbone(nn.Module):
    """Constituents in, features out. Subclasses are built by ``cls(config, feature_names=("log_pt", ...))``.

    `feature_names` are the F columns of the input in their order. Inputs are already standardised; rows may
    be padded to any length, and the output of real constituents must not depend on the padding. A row without
    any constituent gives finite numbers.

    A backbone that supports ``"codes"`` can also be built with ``num_codes=C``: it then reads integers 0 to
    C - 1, int64 (B, N), negative for padding, in place of features. One that supports ``"causal"`` takes
    ``causal=True``, and new constituents of rows that grow by `extend`.
    """

    Config: ClassVar[type[Config]]
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    supports: ClassVar[frozenset[str]] = frozenset()
    """Of ``{"causal", "registers", "pairwise", "condition", "pooled", "codes"}``."""

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

    def seen(self, rows: int, most: int) -> list[KeyValues]:
        """Return the empty memory of `rows` rows of at most `most` tokens; with ``"causal"`` only."""
        raise NotImplementedError(f"{type(self).__name__} does not support growing rows")

    def extend(self, x_BMF: Tensor | None, seen: list[KeyValues], prefix_BKD: Tensor | None = None) -> Tensor:
        """Return the features of new constituents, or of first tokens, of growing rows, (B, M, D).

        The causal pass in pieces: first ``extend(None, seen, prefix_BKD)``, then the constituents one by one.

        Parameters
        ----------
        x_BMF
            What follows in each row; codes (B, M) for a backbone that reads codes.
        seen
            What `seen` returned; it grows.
        prefix_BKD
            Condition tokens in front of the row.
        """
        raise NotImplementedError(f"{type(self).__name__} does not support growing rows")

    def layers(self) -> list[list[nn.Parameter]]:
        """Return the parameters in groups from input to output, for layer-wise learning rates."""
        return [list(self.parameters())]
