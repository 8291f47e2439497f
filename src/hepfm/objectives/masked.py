"""Masked modelling: hide constituents and predict them from those that are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import pydantic
import torch
from torch import Tensor, nn

from hepfm.core.batch import Batch
from hepfm.core.config import Component, ComponentOf
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.schema import Schema
from hepfm.core.weighted import Weighted, WeightedOf
from hepfm.networks.network import Network
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.hidden_choice import HIDDEN_CHOICE
from hepfm.objectives.hidden_choice.base import HiddenChoice
from hepfm.objectives.loss import Loss, mean
from hepfm.objectives.masked_hiding import MASKED_HIDING
from hepfm.objectives.masked_hiding.base import Hiding, shown_tokens
from hepfm.objectives.masked_targets import MASKED_TARGETS
from hepfm.objectives.masked_targets.base import Hidden, MaskedTarget, Shown, existing
from hepfm.objectives.requirements import Requirements
from hepfm.objectives.selection import Selection, constituent_mean

MASKED = "masked"
"""Name of the view in which constituents are hidden."""

_Targets = Annotated[
    tuple[Annotated[Weighted, WeightedOf(MASKED_TARGETS)], ...], pydantic.Field(min_length=1)
]


class MaskedConfig(BaseConfig):
    """Options of `Masked`.

    Attributes
    ----------
    targets
        Component specs of what is asked of a hidden constituent, each with its ``weight`` (1 if not given).
    hide
        Component spec of how constituents are hidden from the backbone: ``removed`` or ``placeholder``.
    choose
        Component spec of which constituents are hidden; ``random`` for any.
    fraction
        Fraction of each row's constituents that is hidden, above 0 and below 1; 0.4 in 2409.12589 and
        2606.14870, 0.3 in 2401.13537. Some choices take it of the pt, or of the subjets.
    noise_for_missing_features
        Whether features that a constituent does not have (impact parameters of neutral ones) are replaced by
        standard normal noise, in what the network is shown and in what it is asked for, as in the public code
        of 2409.12589. Otherwise they are as the feature set has them, and not asked for.
    """

    targets: _Targets = pydantic.Field(("regression",), validate_default=True)
    hide: Annotated[Component, ComponentOf(MASKED_HIDING, default="removed")] = pydantic.Field(
        "removed", validate_default=True
    )
    choose: Annotated[Component, ComponentOf(HIDDEN_CHOICE, default="random")] = pydantic.Field(
        "random", validate_default=True
    )
    fraction: Annotated[float, pydantic.Field(gt=0, lt=1)] = 0.4
    noise_for_missing_features: bool = False

    @pydantic.model_validator(mode="after")
    def _check(self) -> MaskedConfig:
        names = [target.component.name for target in self.targets]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"targets: {twice[0]!r} is there twice; terms of the loss are named after them")
        return self


class Masked(Objective[MaskedConfig]):
    """Hide a fraction of the constituents, and predict each from the others and its rank in pt.

    Masked particle modelling (2401.13537, 2409.12589; with constituents removed as in 2606.14870): which are
    hidden is said by `hepfm.objectives.hidden_choice`, how by `hepfm.objectives.masked_hiding`, what is asked
    of them by `hepfm.objectives.masked_targets`. Mean over the hidden constituents of each row, then over the
    rows that have any; a row of one constituent has no loss.

    Terms of the loss: one for each target, called by its name.
    """

    Config: ClassVar[type[BaseConfig]] = MaskedConfig
    lets_through = (
        "of the hidden constituents their number, their ranks in pt (to the decoder, and to a backbone that "
        "is told the order), and the row's axis, the origin of deta and dphi; context and momenta relative "
        "to the row are those of what is left"
    )

    def __init__(self, config: MaskedConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.hiding: Hiding = config.hide.cls(config.hide.config, network)
        self.choice: HiddenChoice[Any] = config.choose.cls(config.choose.config)
        reads = any(target.component.cls.reads_vectors for target in config.targets)
        self.decoder = self.hiding.decoder(network) if reads else None
        width = self.decoder.width if self.decoder else 0
        self.targets = nn.ModuleDict(
            {
                target.component.name: target.component.cls(target.component.config, network, width=width)
                for target in config.targets
            }
        )
        self.target_weights = {target.component.name: target.weight for target in config.targets}

    @classmethod
    def requirements(cls, config: MaskedConfig, schema: Schema) -> Requirements:
        """Return what the backbone must support; no labels are needed, and negative weights allowed."""
        choice = config.choose
        return Requirements(
            signed_weights=True,
            views=frozenset({MASKED}),
            inputs=choice.cls.inputs,
            backbone=config.hide.cls.needs,
            clusterings=tuple(choice.cls.clusterings(choice.config)),
        )

    @classmethod
    def check(cls, config: MaskedConfig, network: Network) -> None:
        """Refuse features that do not say which constituents are to be hidden."""
        config.choose.cls.check(network)

    def each(self) -> Iterator[tuple[str, MaskedTarget]]:
        """Yield the targets by name."""
        for name, target in self.targets.items():
            assert isinstance(target, MaskedTarget)
            yield name, target

    def prepare(self, network: Network, batches: Iterable[Batch]) -> None:
        """Fit what the targets have to fit; `batches` is gone through once for each."""
        draws = Draws(0, "masked.prepare")
        for _, target in self.each():
            noised = (self._noised(network, batch, draws) for batch in batches)
            target.fit(self._standardised(network, batch)[batch.mask_BN] for batch in noised)

    def _standardised(self, network: Network, batch: Batch) -> Tensor:
        """Return the standardised features of all constituents, (B, N, F), zero where they have none."""
        x_BNF: Tensor = network.standardize(batch.features_BNF, batch.mask_BN)
        return x_BNF * self._exists(network, batch)

    def _exists(self, network: Network, batch: Batch) -> Tensor:
        if self.config.noise_for_missing_features:
            return torch.ones_like(batch.features_BNF, dtype=torch.bool)
        return existing(batch.features_BNF, network.feature_set)

    def _noised(self, network: Network, batch: Batch, draws: Draws) -> Batch:
        """Return the batch with noise in place of features that constituents do not have, if asked for."""
        if not self.config.noise_for_missing_features:
            return batch
        noise_BNF = draws.rows(batch.rows_B).normal("masked.missing", *batch.features_BNF.shape[1:])
        drawn_BNF = network.standardize.inverse(noise_BNF, batch.mask_BN).to(batch.features_BNF.dtype)
        exists_BNF = existing(batch.features_BNF, network.feature_set)
        return replace(batch, features_BNF=torch.where(exists_BNF, batch.features_BNF, drawn_BNF))

    def views(self, network: Network, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the batch without the hidden constituents; `extra` holds those."""
        num_hidden_B = self.hiding.count(self.config.fraction, batch.mask_BN.sum(1))
        fraction_B = torch.full_like(num_hidden_B, self.config.fraction, dtype=torch.float32)
        hidden_BN = self.choice.hidden(batch, fraction_B, num_hidden_B, network, draws, "masked")
        batch = self._noised(network, batch, draws)
        view = self.hiding.view(batch, hidden_BN, network)
        hidden = self._hidden(network, batch, hidden_BN)
        return {MASKED: replace(view, weight_B=1.0 - fraction_B, extra={**view.extra, **hidden.extra()})}

    def _hidden(self, network: Network, batch: Batch, hidden_BN: Tensor) -> Hidden:
        selection = Selection.of(hidden_BN)
        codes_BM = None
        if any(target.reads_codes for _, target in self.each()):
            codes_BM = selection.gather(network.encode(batch)[..., None])[..., 0]
        return Hidden(
            features_BMF=selection.gather(batch.features_BNF),
            x_BMF=selection.gather(self._standardised(network, batch)),
            exists_BMF=selection.gather(self._exists(network, batch)),
            mask_BM=selection.mask_BM,
            codes_BM=codes_BM,
        )

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows for each target, 0 for those of which nothing is asked."""
        hidden, weights_B = Hidden.of(views[MASKED].extra), row_weights(views[MASKED].batch)
        return {name: weights_B * target.asked(hidden).any(1) for name, target in self.each()}

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the targets' losses of the hidden constituents."""
        output = outputs[MASKED]
        hidden, weights = Hidden.of(output.view.extra), self.weights({MASKED: output.view})
        vectors_BMW = None if self.decoder is None else self.decoder(output, hidden)
        shown = Shown(*shown_tokens(output), vectors_BMW, draws.rows(output.view.batch.rows_B))
        terms = {}
        for name, target in self.each():
            loss_B = constituent_mean(target.loss(hidden, shown), target.asked(hidden))
            terms[name] = mean(loss_B, weights[name], weight=self.target_weights[name])
        return Loss(terms)
