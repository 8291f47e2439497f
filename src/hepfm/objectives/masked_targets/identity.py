"""Identity target: the type of a hidden constituent and the sign of its charge."""

from __future__ import annotations

from typing import Annotated, ClassVar

import pydantic
import torch
from torch import Tensor, nn

from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.data import FEATURE_SETS
from hepfm.data.feature_names import FLAGS, IDENTITY
from hepfm.data.features import FeatureSet
from hepfm.networks.network import Network
from hepfm.objectives.masked_targets.base import Hidden, MaskedTarget, Shown, code_loss

TYPES = (
    "negative charged_hadron",
    "positive charged_hadron",
    "neutral_hadron",
    "photon",
    "electron",
    "positron",
    "negative muon",
    "positive muon",
    "other",
)
"""What a constituent can be: the eight ids of 2409.12589, and what no flag names."""

_FIRST = (0, 2, 3, 4, 6, 8)
"""Number in `TYPES` of each flag of `FLAGS`, at negative charge if it has any, and of none."""

_CHARGED = (True, False, False, True, True, False)

_IS_SET = 0.5
"""A flag counts as set above this, as in `hepfm.data.jet_inverse`."""


class IdentityConfig(Config):
    """Options of `Identity`.

    Attributes
    ----------
    label_smoothing
        Fraction of the target spread evenly over all types; 0.1 in 2409.12589.
    """

    label_smoothing: Annotated[float, pydantic.Field(ge=0, lt=1)] = 0.1


class Identity(MaskedTarget):
    """Cross-entropy of the particle type with its charge (2409.12589)."""

    Config: ClassVar[type[Config]] = IdentityConfig

    def __init__(self, config: IdentityConfig, network: Network, *, width: int) -> None:
        super().__init__()
        self.config = config
        self.types = ParticleTypeReader(network.feature_set, asking="identity")
        self.linear = nn.Linear(width, len(TYPES))

    def loss(self, hidden: Hidden, shown: Shown) -> Tensor:
        """Return the cross-entropy of each constituent, (B, M)."""
        number_BM = self.types.numbers(hidden.features_BMF)
        return code_loss(self.linear(shown.vectors), number_BM, smoothing=self.config.label_smoothing)


class ParticleTypeReader:
    """Reads the particle type from the charge and the flags of a feature set.

    Parameters
    ----------
    feature_set
        The features.
    asking
        The target that asks, for the message.

    Raises
    ------
    IncompatibleError
        When the features do not tell the type.
    """

    def __init__(self, feature_set: FeatureSet, *, asking: str) -> None:
        if not set(IDENTITY) <= set(feature_set.present):
            sets = [name for name in FEATURE_SETS if set(IDENTITY) <= set(FEATURE_SETS.load(name).names)]
            raise IncompatibleError(
                f"objective.targets: {asking!r} asks for particle types, and the features "
                f"{feature_set.name!r} have none ({', '.join(feature_set.present)}); set data.features to "
                f"one of {', '.join(sets)}"
            )
        self.charge = feature_set.names.index("charge")
        self.flags = [feature_set.names.index(name) for name in FLAGS]

    def numbers(self, features: Tensor) -> Tensor:
        """Return the number in `TYPES` of constituents with physical features (..., F), int64 (...)."""
        flags = features[..., self.flags]
        kind = torch.where((flags > _IS_SET).any(-1), flags.argmax(-1), len(self.flags))
        positive = features[..., self.charge] > 0
        return kind.new_tensor(_FIRST)[kind] + (positive & positive.new_tensor(_CHARGED)[kind])
