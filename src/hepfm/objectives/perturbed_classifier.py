"""Classification of a noised or masked row, each counted by how much of it can still be seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from hepfm.core.config import Config as BaseConfig
from hepfm.core.config import resolve_component
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Field, Kind, Schema
from hepfm.heads import HEADS
from hepfm.networks.network import Network, Output
from hepfm.objectives.base import Seen, View, row_weights
from hepfm.objectives.borrower import Borrower
from hepfm.objectives.loss import Loss, logged, mean


class PerturbedClassifierConfig(BaseConfig):
    """Options of `PerturbedClassifier`.

    Attributes
    ----------
    view
        The view to classify: ``noised`` of flow_matching or ``masked`` of masked.
    label
        The categorical field to learn; None means the label that the store's schema names.
    head
        Component spec of the head, where no other term adds one for the label.
    context
        Whether the class may be read off the context of a noised row: generation is conditioned on it, so it
        stays when everything else is noise, and a jet's pt, mass and number of constituents tell its class.
        OmniLearned (2510.24066) allows it. False refuses networks that are told the context.
    """

    view: Literal["noised", "masked"]
    label: str | None = None
    head: str | dict[str, Any] = "classify"
    context: bool = False


class PerturbedClassifier(Borrower):
    """Cross-entropy of the label on another term's view, each row times the view's clarity.

    The clarity is (1 - t)^2 of a row noised to time t (OmniLearn 2404.16091, OmniLearned 2510.24066), and the
    visible share of a masked one (2606.14870). The head is that of the clean classifier.

    Terms of the loss: ``cross_entropy``; beside it ``accuracy``, of all rows alike.
    """

    Config: ClassVar[type[BaseConfig]] = PerturbedClassifierConfig
    needs = frozenset({"labels"})
    signed_weights = True
    lets_through = "what the view that it classifies lets through"
    alone = (
        "objective 'perturbed_classifier' classifies what another term has noised or masked and cannot train "
        "alone; use {name: weighted_sum, terms: [...]} with it beside flow_matching (view: noised) or masked "
        "(view: masked)"
    )

    def __init__(self, config: PerturbedClassifierConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.config: PerturbedClassifierConfig = config
        self.field = _label(config, schema)
        _check_context(config, network)
        if self.field.name not in network.heads:
            head = resolve_component(HEADS, config.head, where="objective.head", default="classify")
            network.add_head(Output(head, self.field))

    @classmethod
    def borrows(cls, config: BaseConfig) -> str:
        """Return the view that is classified."""
        assert isinstance(config, PerturbedClassifierConfig)
        return config.view

    @classmethod
    def borrowed_targets(cls, config: BaseConfig, schema: Schema) -> tuple[str, ...]:
        """Return the one field that is learned."""
        assert isinstance(config, PerturbedClassifierConfig)
        return (_label(config, schema).name,)

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows; their clarity is in the loss, not in the count."""
        return {"cross_entropy": row_weights(views[self.config.view].batch)}

    def loss(self, seen: Mapping[str, Seen], draws: Draws) -> Loss:
        """Return the mean over rows of clarity times cross-entropy."""
        view, features = seen[self.config.view].view, seen[self.config.view].features
        batch = view.batch
        logits_BK = self.network.heads[self.field.name](features, batch.mask_BN).float()
        label_B, weights_B = batch.labels[self.field.name], row_weights(batch)
        loss_B = F.cross_entropy(logits_BK, label_B, reduction="none")
        if view.clarity_B is not None:
            loss_B = loss_B * view.clarity_B
        correct_B = (logits_BK.argmax(-1) == label_B).float()
        return Loss({"cross_entropy": mean(loss_B, weights_B), "accuracy": logged(correct_B, weights_B)})


def _check_context(config: PerturbedClassifierConfig, network: Network) -> None:
    if config.view == "noised" and network.context is not None and not config.context:
        raise IncompatibleError(
            f"objective 'perturbed_classifier': the network is told {', '.join(network.context.names)} of a "
            "row, from which its class can be read however much is noise; set data.context=null, or "
            "context=true of this term to allow it as OmniLearned does"
        )


def _label(config: PerturbedClassifierConfig, schema: Schema) -> Field:
    name = config.label or schema.label
    if name is None:
        raise IncompatibleError(
            "objective 'perturbed_classifier' needs labels and this data set has none; label the data or "
            "name a categorical field of the rows with label=FIELD"
        )
    field = schema[name]
    if field.level is not schema.row or field.kind is not Kind.CATEGORICAL:
        raise IncompatibleError(
            f"objective 'perturbed_classifier' learns categorical fields of the rows ({schema.row}); "
            f"{name!r} is a {field.kind} field of the {field.level}"
        )
    return field
