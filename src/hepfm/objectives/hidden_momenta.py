"""Constituents whose momenta are hidden, and not what they are: the view, the questions, the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hepfm.backbones.base import PartlyHidden
from hepfm.core.batch import Batch
from hepfm.core.errors import ConfigError, IncompatibleError, did_you_mean
from hepfm.data.feature_names import MOMENTUM, NO_MOMENTUM
from hepfm.data.features import FeatureSet
from hepfm.heads.momenta import ANGLE, Momenta
from hepfm.networks.network import Network
from hepfm.objectives.base import View
from hepfm.objectives.hidden_choice.levels import LEVEL
from hepfm.objectives.selection import blank_hidden

HIDDEN = "momenta"
"""Name of the view in which momenta are hidden."""

_GIVEN: Mapping[str, tuple[str, ...]] = {
    "is_met": ("eta", "log_mass"),
    **{f"is_{name}": ("log_mass",) for name in ("neutrino", "electron", "muon", "photon")},
}
"""Features that a type has always the same: neither hidden nor asked for."""
_FOLLOWS: Mapping[str, tuple[str, ...]] = {"is_met": ("log_energy",), "is_neutrino": ("log_energy",)}
"""Features that follow from the others of a massless type: not asked for."""
_ANGLES = {ANGLE: ("sin_phi", "cos_phi")}
_TRUE = 0.5


@dataclass(frozen=True)
class MomentumFeatures:
    """Which features of a set tell momenta.

    Attributes
    ----------
    features
        The feature set.
    """

    features: FeatureSet

    @classmethod
    def of(cls, features: FeatureSet) -> MomentumFeatures:
        """Return them; raise `IncompatibleError` for a set with a feature of which it is not known."""
        known = {*MOMENTUM, *NO_MOMENTUM}
        unknown = [name for name in features.names if name not in known and not name.startswith("is_")]
        if unknown:
            raise IncompatibleError(
                f"the feature set {features.name!r} has {', '.join(unknown)}, of which nobody said whether "
                "they tell a momentum that is to be hidden; use bumblebee or event_levels"
            )
        return cls(features)

    def hidden(self, features_BNF: Tensor) -> Tensor:
        """Return which features of constituents are hidden where a momentum is, boolean (B, N, F)."""
        names = self.features.names
        hidden_F = torch.tensor([name in MOMENTUM for name in names], device=features_BNF.device)
        return hidden_F & ~self._of_types(features_BNF, _GIVEN)

    def asked(self, components: tuple[str, ...], features_BNF: Tensor) -> Tensor:
        """Return which components of a momentum are asked of constituents, boolean (B, N, K)."""
        told_BNF = self._of_types(features_BNF, _GIVEN) | self._of_types(features_BNF, _FOLLOWS)
        return ~torch.stack([told_BNF[..., self.column(name)] for name in components], dim=-1)

    def column(self, component: str) -> int:
        """Return where a component stands, of an angle its sine; raise `ConfigError` where there is none."""
        name = _ANGLES[component][0] if component in _ANGLES else component
        if name not in self.features.present or name not in MOMENTUM:
            have = [one for one in self.features.present if one in MOMENTUM]
            raise ConfigError(
                f"objective.head: components: the feature set {self.features.name!r} has no {component!r} "
                f"among its momenta{did_you_mean(component, have)}"
            )
        return self.features.names.index(name)

    def wanted(self, components: tuple[str, ...], features_BNF: Tensor, x_BNF: Tensor) -> Tensor:
        """Return the components of constituents, (B, N, K): standardised features, and phi in rad."""
        return torch.stack([self._component(name, features_BNF, x_BNF) for name in components], dim=-1)

    def _component(self, name: str, features_BNF: Tensor, x_BNF: Tensor) -> Tensor:
        if name not in _ANGLES:
            return x_BNF[..., self.column(name)]
        sine, cosine = (features_BNF[..., self.features.names.index(part)] for part in _ANGLES[name])
        return torch.atan2(sine, cosine)

    def _of_types(self, features_BNF: Tensor, table: Mapping[str, tuple[str, ...]]) -> Tensor:
        """Return where a table of features by type says so, boolean (B, N, F)."""
        names = self.features.names
        out = torch.zeros_like(features_BNF, dtype=torch.bool)
        for flag in (flag for flag in table if flag in names):
            of_F = torch.tensor([name in table[flag] for name in names], device=out.device)
            out |= (features_BNF[..., names.index(flag)] > _TRUE)[..., None] & of_F
        return out


def hide_momenta(network: Network, head: Momenta, batch: Batch, hidden_BN: Tensor) -> tuple[View, Tensor]:
    """Return the view without some momenta, and the place that each constituent had in its row, (B, N).

    What is hidden has the centre of the training data in its place, which the network reads as zero, no
    four-momentum, and stands behind what is shown; context and features relative to the row are those of
    what is shown.
    """
    blank, behind_BN, place_BN = blank_hidden(batch, hidden_BN, network)
    own_BNF = batch.features_BNF.gather(1, place_BN[..., None].expand_as(batch.features_BNF))
    centre_F = network.standardize.centre_F.to(own_BNF.dtype)
    rest_BNF = torch.where(MomentumFeatures.of(network.feature_set).hidden(own_BNF), centre_F, own_BNF)
    shown = replace(blank, features_BNF=torch.where(behind_BN[..., None], rest_BNF, blank.features_BNF))
    return View(shown, placeholder=PartlyHidden(behind_BN, head.vector_D, place_BN)), place_BN


def level_view(network: Network, head: Momenta, batch: Batch) -> View:
    """Return the view without the momenta of the level that a head is asked of."""
    if LEVEL not in network.feature_set.present:
        raise IncompatibleError(
            f"the model predicts momenta of {head.config.level} objects, and its features "
            f"{network.feature_set.name!r} do not tell the level; pre-train with data.features=bumblebee"
        )
    generator_BN = batch.features_BNF[..., network.feature_names.index(LEVEL)] > _TRUE
    asked_BN = generator_BN if head.config.level == "generator" else ~generator_BN
    return hide_momenta(network, head, batch, batch.mask_BN & asked_BN)[0]


def four_vectors(network: Network, head: Momenta, raw_BNK: Tensor, features_BNF: Tensor) -> Tensor:
    """Return pt, eta, phi and energy (GeV, rad) of what a head says, (B, N, 4).

    Components are kept within what the network is trained on; types without a mass have none.
    """
    columns = MomentumFeatures(network.feature_set)
    values: dict[str, Tensor] = {}
    for number, name in enumerate(head.config.components):
        raw_BN, column = raw_BNK[..., number].double(), columns.column(name)
        if name in _ANGLES:
            values[name] = 2 * torch.atan(raw_BN)
            continue
        layer = network.standardize
        limit, scale, centre = (
            float(constants[column]) for constants in (layer.limit_F, layer.scale_F, layer.centre_F)
        )
        values[name] = raw_BN.clamp(-limit, limit) / scale + centre
    lacking = {"log_pt", "eta", ANGLE} - set(values)
    if lacking or not {"log_mass", "log_energy"} & set(values):
        raise IncompatibleError(
            f"the head says {', '.join(head.config.components)} of constituents, which is no four-momentum "
            "of the laboratory; it needs log_pt, eta, phi, and log_mass or log_energy"
        )
    massive = columns.asked(("log_mass",), features_BNF)[..., 0] if "log_mass" in values else None
    return _four_vectors(values, massive)


def _four_vectors(values: dict[str, Tensor], massive_BN: Tensor | None) -> Tensor:
    pt, eta = values["log_pt"].exp(), values["eta"]
    momentum = pt * eta.cosh()
    if massive_BN is None:
        energy = torch.maximum(values["log_energy"].exp(), momentum)
    else:
        mass = values["log_mass"].expm1().clamp(min=0) * massive_BN
        energy = (momentum**2 + mass**2).sqrt()
    return torch.stack((pt, eta, values[ANGLE], energy), dim=-1)
