"""The contract of a target of masked modelling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.core.batch import Batch
from hepfm.core.config import Config
from hepfm.core.draws import Draws
from hepfm.core.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Removed:
    """The removed constituents of a batch, M of each row at most, in falling order of pt.

    Attributes
    ----------
    x_BMF
        Their standardised features.
    mask_BM
        Boolean, True where one was removed; elsewhere all is arbitrary.
    codes_BM
        Their codes, for a target that reads codes.
    """

    x_BMF: Tensor
    mask_BM: Tensor
    codes_BM: Tensor | None = None


class MaskedTarget(nn.Module):
    """What is asked of a removed constituent.

    Subclasses are built by ``cls(config, network, width=W)``, W the size of the decoder's vectors, and own
    the layer that answers. The network, whose features and tokenizer a target may look at, is not kept.
    """

    Config: ClassVar[type[Config]]
    reads_codes: ClassVar[bool] = False
    """Whether `Removed.codes_BM` is wanted: the codes of the network's tokenizer."""

    def fit(self, parts: Iterable[Tensor]) -> None:
        """Fit constants to standardised features (T, F) of constituents, in parts. Nothing by default."""

    @abstractmethod
    def loss(self, h_BMW: Tensor, removed: Removed, batch: Batch, draws: Draws) -> Tensor:
        """Return the loss of each removed constituent, (B, M).

        Parameters
        ----------
        h_BMW
            The decoder's vector of each.
        removed
            What they are.
        batch
            The rows without them.
        draws
            Source of every random draw.
        """


def code_loss(logits_BMC: Tensor, codes_BM: Tensor, *, smoothing: float) -> Tensor:
    """Return the cross-entropy of codes, (B, M)."""
    logits_TC = logits_BMC.float().flatten(0, 1)
    loss_T = F.cross_entropy(logits_TC, codes_BM.flatten(), reduction="none", label_smoothing=smoothing)
    return loss_T.view(codes_BM.shape)


def columns(wanted: tuple[str, ...], feature_names: tuple[str, ...]) -> list[int]:
    """Return where features stand; raise `ConfigError` for one that the network does not read."""
    for name in wanted:
        if name not in feature_names:
            raise ConfigError(
                f"objective.target.features: the feature set has no {name!r}"
                f"{did_you_mean(name, feature_names)}"
            )
    return [feature_names.index(name) for name in wanted]
