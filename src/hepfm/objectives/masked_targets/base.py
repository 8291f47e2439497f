"""The contract of a target of masked modelling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.core.errors import ConfigError, did_you_mean

KINEMATICS = ("deta", "dphi", "log_pt", "log_energy")
"""The targets of 2606.14870: types and impact parameters are seen, and not asked for."""


class MaskedTarget(nn.Module):
    """What is asked of a removed constituent.

    Subclasses are built by ``cls(config, feature_names=..., num_codes=...)``, with the number of codes of the
    network's tokenizer, None without one.
    """

    Config: ClassVar[type[Config]]
    reads_codes: ClassVar[bool] = False
    """Whether `loss` is given the codes of the network's tokenizer."""
    num_outputs: int
    """K, numbers that the decoder's last layer gives per constituent."""

    def fit(self, parts: Iterable[Tensor]) -> None:
        """Fit constants to standardised features (T, F) of constituents, in parts. Nothing by default."""

    @abstractmethod
    def loss(self, output_BMK: Tensor, x_BMF: Tensor, codes_BM: Tensor | None = None) -> Tensor:
        """Return the loss of each constituent, (B, M), from the decoder's output, its features and its code.

        What stands where no constituent was removed is arbitrary.
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
