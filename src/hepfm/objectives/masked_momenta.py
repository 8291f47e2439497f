"""Masked four-vectors: what constituents are is seen, where some of them are is predicted (2412.07867)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import pydantic
import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component, ComponentOf
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Field, Schema
from hepfm.heads import HEADS
from hepfm.heads.momenta import ANGLE, Momenta
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.hidden_choice import HIDDEN_CHOICE
from hepfm.objectives.hidden_choice.base import HiddenChoice
from hepfm.objectives.hidden_momenta import HIDDEN, MomentumFeatures, hide_momenta
from hepfm.objectives.loss import Loss, mean
from hepfm.objectives.requirements import Requirements

_FIELDS = ("object_pt", "part_pt")
_WANTED, _ASKED = "wanted_BNK", "asked_BNK"


class MaskedMomentaConfig(BaseConfig):
    """Options of `MaskedMomenta`.

    Attributes
    ----------
    choose
        Component spec of which constituents are hidden.
    fraction
        Fraction of each row's constituents that is hidden, where `choose` goes by one; 0.15 is the default of
        the public code of 2412.07867, which was run with 0.09.
    head
        Component spec of the head of hidden momenta.
    label
        Field of the constituents that the head is named after; None for their transverse momentum.
    """

    choose: Annotated[Component, ComponentOf(HIDDEN_CHOICE, default="levels")] = pydantic.Field(
        "levels", validate_default=True
    )
    fraction: Annotated[float, pydantic.Field(gt=0, lt=1)] = 0.15
    head: Annotated[Component, ComponentOf(HEADS, default="momenta")] = pydantic.Field(
        "momenta", validate_default=True
    )
    label: str | None = None


class MaskedMomenta(Objective[MaskedMomentaConfig]):
    """Hide the momenta of some constituents and predict each by itself.

    Terms of the loss, each the mean over the hidden constituents of which it is asked, weighted by the
    weights of their rows: ``(x - x')^2`` of a standardised feature, ``2 - 2 cos(phi - phi')`` of the azimuth.
    Types without a mass are not asked for it, nor the missing momentum for its eta.
    """

    Config: ClassVar[type[BaseConfig]] = MaskedMomentaConfig
    lets_through = (
        "of the hidden constituents their number and what each is: type, level, sign, charge, b tag; context "
        "and momenta relative to the row are those of what is shown"
    )

    def __init__(self, config: MaskedMomentaConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.field = _field(config, schema)
        self.choice: HiddenChoice[Any] = config.choose.cls(config.choose.config)
        self.components: tuple[str, ...] = self._head(network).config.components

    @classmethod
    def requirements(cls, config: MaskedMomentaConfig, schema: Schema) -> Requirements:
        """Return the head of hidden momenta; no labels are needed, and negative weights allowed."""
        if config.head.cls.level != "hidden":
            raise IncompatibleError(
                f"objective 'masked_momenta' needs a head of hidden constituents, and {config.head.name!r} "
                f"is one of {config.head.cls.level}s; set head to momenta"
            )
        field, choice = _field(config, schema), config.choose
        return Requirements(
            heads={field.name: HeadSpec(config.head, field)},
            signed_weights=True,
            views=frozenset({HIDDEN}),
            inputs=choice.cls.inputs,
            backbone=frozenset({"placeholder"}),
            clusterings=tuple(choice.cls.clusterings(choice.config)),
        )

    @classmethod
    def check(cls, config: MaskedMomentaConfig, network: Network) -> None:
        """Refuse features that do not fit, and a backbone that is told the order: it is that of pt."""
        config.choose.cls.check(network)
        features = MomentumFeatures.of(network.feature_set)
        for component in config.head.config.components:  # type: ignore[attr-defined]
            features.column(component)
        if network.inputs != "features":
            raise IncompatibleError(
                "objective 'masked_momenta' hides features, and this network reads tokens; leave the "
                "tokenizer out"
            )
        causal = getattr(getattr(network.backbone, "config", None), "causal", False)
        if causal or "order" in network.backbone.supports:
            raise IncompatibleError(
                "objective 'masked_momenta': constituents stand in falling order of pt, which this backbone "
                "is told, and hidden momenta with it; set backbone=transformer, and causal=false"
            )

    def _head(self, network: Network) -> Momenta:
        head = network.heads[self.field.name]
        assert isinstance(head, Momenta)
        return head

    def views(self, network: Network, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the batch without the hidden momenta; `extra` holds what is asked of them."""
        count_B = batch.mask_BN.sum(1)
        fraction_B = torch.full_like(count_B, self.config.fraction, dtype=torch.float32)
        number_B = torch.minimum((fraction_B * count_B).round().long(), (count_B - 1).clamp(min=0))
        hidden_BN = self.choice.hidden(batch, fraction_B, number_B, network, draws, HIDDEN)
        view, place_BN = hide_momenta(network, self._head(network), batch, hidden_BN)
        features = MomentumFeatures(network.feature_set)
        x_BNF = network.standardize(batch.features_BNF, batch.mask_BN)
        asked_BNK = features.asked(self.components, batch.features_BNF) & hidden_BN[..., None]
        wanted_BNK = features.wanted(self.components, batch.features_BNF, x_BNF)
        moved = {
            name: values.gather(1, place_BN[..., None].expand(-1, -1, values.shape[-1]))
            for name, values in ((_WANTED, wanted_BNK), (_ASKED, asked_BNK))
        }
        return {HIDDEN: replace(view, extra=moved)}

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the constituents for each component, (B, N), 0 for those not asked for it."""
        view = views[HIDDEN]
        weights_B1 = row_weights(view.batch)[:, None]
        asked_BNK = view.extra[_ASKED]
        return {name: weights_B1 * asked_BNK[..., k] for k, name in enumerate(self.components)}

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the mean loss of each component."""
        output = outputs[HIDDEN]
        said_BNK = self._head(network)(output.features, output.view.batch.mask_BN)
        said_BNK = said_BNK if said_BNK.dtype is torch.float64 else said_BNK.float()
        wanted_BNK, weights = output.view.extra[_WANTED], self.weights({HIDDEN: output.view})
        return Loss(
            {
                name: mean(_error(name, said_BNK[..., k], wanted_BNK[..., k]), weights[name])
                for k, name in enumerate(self.components)
            }
        )


def _error(component: str, said: Tensor, wanted: Tensor) -> Tensor:
    if component == ANGLE:
        return 2 - 2 * torch.cos(2 * torch.atan(said) - wanted)
    return (said - wanted) ** 2


def _field(config: MaskedMomentaConfig, schema: Schema) -> Field:
    names = [config.label] if config.label else [name for name in _FIELDS if name in schema]
    if not names or names[0] not in schema or not schema.is_ragged(names[0]):
        raise IncompatibleError(
            f"objective 'masked_momenta' predicts momenta of constituents, and these data have no "
            f"{names[0] if names else ' or '.join(_FIELDS)!r} of constituents"
        )
    return schema[names[0]]
