"""Next-token prediction: the code of each constituent from those before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import pydantic
import torch.nn.functional as F
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component, resolve_component
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import ConfigError, DataError, IncompatibleError
from hepfm.core.schema import Schema
from hepfm.generators import GENERATORS
from hepfm.generators.autoregressive import Autoregressive
from hepfm.networks.network import Network, Source
from hepfm.objectives.base import Objective, Seen, View, row_weights
from hepfm.objectives.loss import Loss, logged, mean
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
    mean over all codes and stops of a step, each with the weight of its row: every code weighs the same,
    whatever the length of its row, as maximum likelihood has it. (With a mean over each row the network would
    learn rows of n constituents as 1 / (n + 1) times as likely as they are.) In the public code of
    OmniJet-alpha padding is in the mean, so that its values are smaller. A row without constituents has no
    loss.

    Terms of the loss: ``cross_entropy``; beside it the ``accuracy`` of the likeliest code.
    """

    Config: ClassVar[type[BaseConfig]] = NextTokenConfig
    needs = frozenset({"causal"})
    makes: ClassVar[frozenset[str]] = frozenset({CAUSAL})
    signed_weights = True
    lets_through = (
        "of what follows a constituent nothing but the context and, with a conditional tokenizer, what the "
        "codes before it know of the whole row"
    )

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
        component = resolve_component(
            GENERATORS, config.generator, where="objective.generator", default="autoregressive"
        )
        if not issubclass(component.cls, Autoregressive):
            raise ConfigError(
                "objective 'next_token' trains the generator 'autoregressive' or a kind of it, not "
                f"{component.name!r}"
            )
        return component

    def views(self, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the batch with a start in front of each row, for a causal pass."""
        most = self.generator.max_constituents
        if batch.mask_BN.shape[1] > most and int(batch.mask_BN.sum(1).max()) > most:
            raise DataError(
                f"a row has {int(batch.mask_BN.sum(1).max())} constituents and the generator makes up to "
                f"{most}; raise objective.max_constituents or lower data.max_constituents"
            )
        rate = self.config.label_dropout if self.training else 0.0
        label_B = told_classes(batch, self.field, rate=rate, draws=draws)
        start_BKD = self.generator.starts(label_B)[:, None]
        return {CAUSAL: View(batch, codes_BN=self.network.encode(batch), prefix_BKD=start_BKD, causal=True)}

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weight of each code and stop, that of its row, (B, 1 + N); 0 after the stop."""
        view = views[CAUSAL]
        weights_B = row_weights(view.batch) * view.batch.mask_BN.any(1)
        return {
            "cross_entropy": (self._targets(view) != self.generator.vocabulary.padding) * weights_B[:, None]
        }

    def loss(self, seen: Mapping[str, Seen], draws: Draws) -> Loss:
        """Return the cross-entropy of codes and stops."""
        view = seen[CAUSAL].view
        target_BT = self._targets(view)
        counted_BT = target_BT != self.generator.vocabulary.padding
        weights_T = self.weights({CAUSAL: view})["cross_entropy"][counted_BT]
        logits_TC = self.generator.linear(self.generator.before(seen[CAUSAL].features)[counted_BT]).float()
        loss_T = F.cross_entropy(logits_TC, target_BT[counted_BT], reduction="none")
        right_T = (logits_TC.argmax(-1) == target_BT[counted_BT]).float()
        return Loss({"cross_entropy": mean(loss_T, weights_T), "accuracy": logged(right_T, weights_T)})

    def _targets(self, view: View) -> Tensor:
        """Return the ids that follow the start of each row, (B, 1 + N)."""
        assert view.codes_BN is not None
        return self.generator.vocabulary.sequence(view.codes_BN)[:, 1:]
