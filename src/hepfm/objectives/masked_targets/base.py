"""The contract of a target of masked modelling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar

import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.core.draws import RowDraws
from hepfm.core.errors import ConfigError, did_you_mean
from hepfm.data.features import FeatureSet
from hepfm.networks.network import Network

FeatureNames = Annotated[tuple[str, ...], pydantic.Field(min_length=1)]

_PREFIX = "hidden."


@dataclass(frozen=True)
class Hidden:
    """The hidden constituents of a batch, M of each row at most, in falling order of pt.

    Attributes
    ----------
    features_BMF
        Their features, in physical units.
    x_BMF
        The same standardised; zero for those that the constituent does not have.
    exists_BMF
        Boolean, False for features that the constituent does not have: impact parameters of neutral ones.
    mask_BM
        Boolean, True where one was hidden; elsewhere all is arbitrary.
    codes_BM
        Their codes, for a target that reads codes.
    """

    features_BMF: Tensor
    x_BMF: Tensor
    exists_BMF: Tensor
    mask_BM: Tensor
    codes_BM: Tensor | None = None

    @classmethod
    def of(cls, extra: Mapping[str, Tensor]) -> Hidden:
        """Return what `extra` was made of."""
        named = {key.removeprefix(_PREFIX): value for key, value in extra.items() if key.startswith(_PREFIX)}
        return cls(**named)

    def extra(self) -> dict[str, Tensor]:
        """Return it as entries of a view's `extra`."""
        values = {_PREFIX + field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Shown:
    """What is known of the rows when their hidden constituents are asked for.

    Attributes
    ----------
    tokens_BKD, mask_BK
        The backbone's tokens of the row and of its constituents, and which of them are not hidden.
    vectors_BMW
        The decoder's vector of each hidden constituent; None where no target reads them.
    draws
        Source of every random draw.
    """

    tokens_BKD: Tensor
    mask_BK: Tensor
    vectors_BMW: Tensor | None
    draws: RowDraws

    @property
    def vectors(self) -> Tensor:
        """The decoder's vectors, (B, M, W), for a target that reads them."""
        assert self.vectors_BMW is not None
        return self.vectors_BMW


class MaskedTarget(nn.Module):
    """What is asked of a hidden constituent.

    Subclasses are built by ``cls(config, network, width=W)``, W the size of the decoder's vectors, and own
    the layer that answers. The network, whose features and tokenizer a target may look at, is not kept.
    """

    Config: ClassVar[type[Config]]
    reads_codes: ClassVar[bool] = False
    """Whether `Hidden.codes_BM` is wanted: the codes of the network's tokenizer."""
    reads_vectors: ClassVar[bool] = True
    """Whether `Shown.vectors_BMW` is wanted; without any target that reads them there is no decoder."""

    def fit(self, parts: Iterable[Tensor]) -> None:
        """Fit constants to features (T, F) of constituents as in `Hidden.x_BMF`. Nothing by default."""

    def asked(self, hidden: Hidden) -> Tensor:
        """Return which hidden constituents have a loss, boolean (B, M): all by default."""
        return hidden.mask_BM

    @abstractmethod
    def loss(self, hidden: Hidden, shown: Shown) -> Tensor:
        """Return the loss of each hidden constituent, (B, M); finite also where none is asked for."""


class ContinuousTarget(MaskedTarget):
    """A target that asks for the standardised features that a constituent has.

    Parameters
    ----------
    features
        Names of the K features that are asked for.
    network
        The network that is trained.
    """

    def __init__(self, features: tuple[str, ...], network: Network) -> None:
        super().__init__()
        self.columns = columns(features, network.feature_set)

    def asked(self, hidden: Hidden) -> Tensor:
        """Return which hidden constituents have one of the features at least."""
        return hidden.mask_BM & hidden.exists_BMF[..., self.columns].any(-1)

    def wanted(self, hidden: Hidden) -> tuple[Tensor, Tensor]:
        """Return the features, (B, M, K), zero where a constituent has none, and which it has."""
        return hidden.x_BMF[..., self.columns], hidden.exists_BMF[..., self.columns]


def existing(features: Tensor, feature_set: FeatureSet) -> Tensor:
    """Return which physical features constituents have, boolean (..., F); see `FeatureSet.existence`."""
    exists = torch.ones_like(features, dtype=torch.bool)
    for name, flags in feature_set.existence.items():
        columns = [feature_set.names.index(flag) for flag in flags]
        exists[..., feature_set.names.index(name)] = (features[..., columns] != 0).any(-1)
    return exists


def mean_over_existing(values_BMK: Tensor, exists_BMK: Tensor) -> Tensor:
    """Return the mean over the features that each constituent has, (B, M); zero without any."""
    total_BM = torch.where(exists_BMK, values_BMK, 0.0).sum(-1)
    return total_BM / exists_BMK.sum(-1).clamp(min=1)


def code_loss(logits_BMC: Tensor, codes_BM: Tensor, *, smoothing: float) -> Tensor:
    """Return the cross-entropy of codes, (B, M)."""
    logits_TC = logits_BMC.float().flatten(0, 1)
    loss_T = F.cross_entropy(logits_TC, codes_BM.flatten(), reduction="none", label_smoothing=smoothing)
    return loss_T.view(codes_BM.shape)


def columns(wanted: tuple[str, ...], feature_set: FeatureSet) -> list[int]:
    """Return where features stand; raise `ConfigError` for one that the network does not read."""
    for name in wanted:
        if name not in feature_set.present:
            raise ConfigError(
                f"objective.targets: features: the feature set {feature_set.name!r} has no {name!r}"
                f"{did_you_mean(name, feature_set.present)}"
            )
    return [feature_set.names.index(name) for name in wanted]
