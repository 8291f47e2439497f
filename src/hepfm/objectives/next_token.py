"""Next-token prediction: the code of each constituent from those before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component, resolve_component
from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import ConfigError, DataError, IncompatibleError
from hepfm.core.schema import Schema
from hepfm.generators import GENERATORS
from hepfm.generators.autoregressive import Autoregressive
from hepfm.objectives.base import Loss, Objective, Seen, View
from hepfm.objectives.network import Network, Source
from hepfm.objectives.reduce import row_mean
from hepfm.objectives.told import told_classes, told_field

CAUSAL = "causal"
"""Name of the view in which constituents see only those before them."""


class NextTokenConfig(BaseConfig):
    """Options of `NextToken`.

    Attributes
    ----------
    generator
        Component spec of the generator, whose weights the objective trains with those of the backbone.
    label
        The categorical field whose class is the first token of a row; None for none, as in 2403.05618.
    label_dropout
        Probability per row of training with which the class is not told.
    max_constituents
        Most constituents of a row that is made; not below ``data.max_constituents``.
    """

    generator: str | dict[str, Any] = "autoregressive"
    label: str | None = None
    label_dropout: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.1
    max_constituents: pydantic.PositiveInt = 128


class NextToken(Objective):
    """Cross-entropy of the code of each constituent, and of the stop after the last, in falling order of pt.

    The backbone is shown the codes (2403.05618), or the features that are decoded from them (the hybrid of
    2512.04149, for which the tokenizer's decoder has to be causal), and sees no position. The loss is the
    sum over a row's codes and its stop over the mean number of them in the training data, then the mean over
    rows: every code weighs the same, whatever the length of its row, as maximum likelihood has it. (With a
    mean over each row the network would learn rows of n constituents as 1 / (n + 1) times as likely as they
    are.) In the public code of OmniJet-alpha padding is in the mean, so that its values are smaller. A row
    without constituents has no loss.

    Parts of the loss: ``accuracy`` of the likeliest code.
    """

    Config: ClassVar[type[BaseConfig]] = NextTokenConfig
    needs = frozenset({"causal"})
    makes: ClassVar[frozenset[str]] = frozenset({CAUSAL})
    length: Tensor
    """Mean number of codes and stops of a row; 0 before it is measured: then that of the batch is taken."""

    def __init__(self, config: NextTokenConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.config: NextTokenConfig = config
        if network.tokenizer is None:
            raise IncompatibleError(
                "objective 'next_token' predicts codes, and this network has no tokenizer; train one with "
                "`hepfm tokenize`, and name its model directory with tokenizer.model=PATH"
            )
        if network.reads == "features":
            raise IncompatibleError(
                "objective 'next_token' shows codes, or what is decoded from them; with the features "
                "themselves rows could not be generated: set tokenizer.reads to codes or decoded"
            )
        if network.reads == "decoded" and not network.tokenizer.causal:
            raise IncompatibleError(
                "objective 'next_token' with tokenizer.reads=decoded needs a tokenizer that decodes a "
                "constituent from the codes up to its own; train one with tokenizer.causal_decoder=true"
            )
        self.field = told_field(config.label, schema, objective="next_token")
        self.register_buffer("length", torch.tensor(0.0))
        source = Source(self.generator_of(config), self.field, config.max_constituents)
        if network.generator is None or network.source != source:
            network.add_generator(source)

    @property
    def generator(self) -> Autoregressive:
        """The network's generator."""
        found = self.network.generator
        assert isinstance(found, Autoregressive)
        return found

    @classmethod
    def targets(cls, config: BaseConfig, schema: Schema) -> tuple[str, ...]:
        """Return the field of the class, if one is told."""
        assert isinstance(config, NextTokenConfig)
        field = told_field(config.label, schema, objective="next_token")
        return (field.name,) if field else ()

    @classmethod
    def generator_of(cls, config: BaseConfig) -> Component:
        """Return the generator; raise `ConfigError` when it does not draw codes one by one."""
        assert isinstance(config, NextTokenConfig)
        component = resolve_component(GENERATORS, config.generator, where="objective.generator")
        if not issubclass(component.cls, Autoregressive):
            raise ConfigError(
                "objective 'next_token' trains the generator 'autoregressive' or a kind of it, not "
                f"{component.name!r}"
            )
        return component

    def fit(self, batches: Iterable[Batch]) -> None:
        """Measure the mean number of codes and stops of a row."""
        lengths = torch.cat([batch.mask_BN.sum(1) for batch in batches])
        filled = lengths[lengths > 0]
        if len(filled):
            self.length.fill_(float(filled.float().mean()) + 1)

    def views(self, batch: Batch, generator: torch.Generator) -> dict[str, View]:
        """Return the batch with a start in front of each row, for a causal pass."""
        most = self.generator.max_constituents
        if batch.mask_BN.shape[1] > most and int(batch.mask_BN.sum(1).max()) > most:
            raise DataError(
                f"a row has {int(batch.mask_BN.sum(1).max())} constituents and the generator makes up to "
                f"{most}; raise objective.max_constituents or lower data.max_constituents"
            )
        rate = self.config.label_dropout if self.training else 0.0
        label_B = told_classes(batch, self.field, rate=rate, generator=generator)
        start_BKD = self.generator.starts(label_B)[:, None]
        return {CAUSAL: View(batch, codes_BN=self.network.encode(batch), prefix_BKD=start_BKD, causal=True)}

    def loss(self, seen: Mapping[str, Seen], generator: torch.Generator) -> Loss:
        """Return the cross-entropy of codes and stops."""
        view = seen[CAUSAL].view
        assert view.codes_BN is not None
        words = self.generator.vocabulary
        target_BT = words.sequence(view.codes_BN)[:, 1:]
        counted_BT = target_BT != words.padding
        chosen_TD = self.generator.before(seen[CAUSAL].features)[counted_BT]
        logits_TC = self.generator.linear(chosen_TD).float()
        target_T = target_BT[counted_BT]
        loss_BT = torch.zeros(target_BT.shape, device=logits_TC.device).masked_scatter(
            counted_BT, F.cross_entropy(logits_TC, target_T, reduction="none")
        )
        right_BT = torch.zeros_like(loss_BT).masked_scatter(
            counted_BT, (logits_TC.detach().argmax(-1) == target_T).float()
        )
        filled_B = view.batch.mask_BN.any(1).float()
        weights_B = filled_B if view.batch.weights_B is None else filled_B * view.batch.weights_B
        own = row_mean(counted_BT.sum(1).float(), weights_B)
        length = torch.where(self.length > 0, self.length, own)
        parts = {"accuracy": row_mean(right_BT.sum(1) / length, weights_B)}
        return Loss(row_mean(loss_BT.sum(1) / length, weights_B), parts)
