"""Next-token prediction: the code of each constituent from those before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import pydantic
import torch.nn.functional as F
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component, ComponentOf
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Schema
from hepfm.generators import GENERATORS
from hepfm.generators.autoregressive import Autoregressive
from hepfm.networks.network import Network
from hepfm.networks.specs import GeneratorSpec
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.generation import check_length, conditioning_classes, conditioning_field
from hepfm.objectives.loss import Loss, logged, mean
from hepfm.objectives.requirements import Requirements

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
        Probability per row of training with which the class is hidden.
    max_constituents
        Most constituents of a row that is made; not below ``data.max_constituents``.
    """

    generator: Annotated[Component, ComponentOf(GENERATORS, default="autoregressive")] = pydantic.Field(
        "autoregressive", validate_default=True
    )
    label: str | None = None
    label_dropout: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.1
    max_constituents: pydantic.PositiveInt = 128

    @pydantic.model_validator(mode="after")
    def _check(self) -> NextTokenConfig:
        if not issubclass(self.generator.cls, Autoregressive):
            raise ValueError(
                f"generator: next_token trains 'autoregressive' or a kind of it, not {self.generator.name!r}"
            )
        return self


class NextToken(Objective[NextTokenConfig]):
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
    lets_through = (
        "of what follows a constituent nothing but the context and, with a conditional tokenizer, what the "
        "codes before it know of the whole row"
    )

    def __init__(self, config: NextTokenConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.field = conditioning_field(config.label, schema, objective="next_token")
        self.vocabulary = _generator(network).vocabulary

    @classmethod
    def check(cls, config: NextTokenConfig, network: Network) -> None:
        """Refuse a network without codes, and one that would be shown more than they hold."""
        if network.tokenizer is None:
            raise IncompatibleError(
                "objective 'next_token' predicts codes, and this network has no tokenizer; train one with "
                "`hepfm tokenize`, and name its model directory with tokenizer.model=PATH"
            )
        if network.inputs == "features":
            raise IncompatibleError(
                "objective 'next_token' shows codes, or what is decoded from them; with the features "
                "themselves rows could not be generated: set tokenizer.inputs to codes or decoded"
            )
        if network.inputs == "decoded" and not network.tokenizer.causal:
            raise IncompatibleError(
                "objective 'next_token' with tokenizer.inputs=decoded needs a tokenizer that decodes a "
                "constituent from the codes up to its own; train one with objective.tokenizer.causal_decoder="
                "true, or set tokenizer.inputs=codes"
            )

    @classmethod
    def requirements(cls, config: NextTokenConfig, schema: Schema) -> Requirements:
        """Return the generator, and the field of the class, if there is one."""
        field = conditioning_field(config.label, schema, objective="next_token")
        return Requirements(
            labels=(field.name,) if field else (),
            generator=GeneratorSpec(config.generator, field, config.max_constituents),
            backbone=frozenset({"causal"}),
            signed_weights=True,
            views=frozenset({CAUSAL}),
        )

    def views(self, network: Network, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the batch with a start in front of each row, for a causal pass."""
        generator = _generator(network)
        check_length(batch, generator.max_constituents)
        dropout = self.config.label_dropout if self.training else 0.0
        label_B = conditioning_classes(batch, self.field, dropout=dropout, draws=draws)
        start_BKD = generator.starts(label_B)[:, None]
        return {CAUSAL: View(batch, codes_BN=network.encode(batch), prefix_BKD=start_BKD, causal=True)}

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weight of each code and stop, that of its row, (B, 1 + N); 0 after the stop."""
        view = views[CAUSAL]
        weights_B = row_weights(view.batch) * view.batch.mask_BN.any(1)
        return {"cross_entropy": (self._targets(view) != self.vocabulary.padding) * weights_B[:, None]}

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the cross-entropy of codes and stops."""
        view, generator = outputs[CAUSAL].view, _generator(network)
        target_BT = self._targets(view)
        counted_BT = target_BT != self.vocabulary.padding
        weights_T = self.weights({CAUSAL: view})["cross_entropy"][counted_BT]
        logits_TC = generator.linear(generator.before(outputs[CAUSAL].features)[counted_BT]).float()
        loss_T = F.cross_entropy(logits_TC, target_BT[counted_BT], reduction="none")
        right_T = (logits_TC.argmax(-1) == target_BT[counted_BT]).float()
        return Loss({"cross_entropy": mean(loss_T, weights_T), "accuracy": logged(right_T, weights_T)})

    def _targets(self, view: View) -> Tensor:
        """Return the ids that follow the start of each row, (B, 1 + N)."""
        assert view.codes_BN is not None
        return self.vocabulary.sequence(view.codes_BN)[:, 1:]


def _generator(network: Network) -> Autoregressive:
    if not isinstance(network.generator, Autoregressive):
        raise ValueError("objective 'next_token' is given a network without an autoregressive generator")
    return network.generator
