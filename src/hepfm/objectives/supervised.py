"""Supervised training: cross-entropy of a categorical label of rows or constituents, Huber loss of a
continuous one of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component, ComponentOf, resolve_component
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Field, Kind, Schema
from hepfm.data.row_selection import Only, RowSelection
from hepfm.heads import HEADS
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.loss import Loss, logged, mean
from hepfm.objectives.requirements import CLEAN, Requirements


class SupervisedConfig(BaseConfig):
    """Options of `Supervised`.

    Attributes
    ----------
    label
        The field to learn; None means the label that the store's schema names. A categorical field of the
        constituents has a class for each of them, and they count alike, but for the weights of their rows.
    head
        Component spec of the head; without a name ``classify`` for a categorical label of rows,
        ``classify_constituents`` for one of constituents, else ``regress``.
    label_smoothing
        Fraction of the target spread evenly over all classes, in [0, 1); 0 in 2202.03772.
    huber_delta
        Where the loss of a continuous label turns from quadratic to linear, in units of the head's ``scale``.
    only
        A field and one or more of its classes: rows of other classes do not count, and are in no label
        budget. For labels that have a meaning for some rows only, as the decay mode of a tau in a store with
        quarks: ``[jet_label, tau]``. The field may be the label itself, with at least two classes:
        ``[jet_label, QCD, Tbqq, Hbb]`` learns to tell three of ten apart. The head keeps an output for each
        of the ten, and learns not to name the other seven.
    focal_gamma
        Power of (1 - p) that the cross-entropy is multiplied by, p the probability of the true class: above 0
        rows that are hard to tell count more (focal loss, 1708.02002).
    view
        What the network sees of a row: all of it (``clean``), or what another term of a sum makes of it,
        ``noised`` of flow_matching or ``masked`` of masked. The loss of a row is then multiplied by the
        view's weight: (1 - t)^2 of a row noised to time t (OmniLearn 2404.16091, OmniLearned 2510.24066), the
        visible fraction of a masked one (2606.14870).
    context
        Whether a label may be read off the context of a noised row: generation is conditioned on it, so it
        stays when everything else is noise, and a jet's pt, mass and number of constituents tell its class.
        OmniLearned (2510.24066) allows it. False refuses networks that are conditioned on the context.
    """

    label: str | None = None
    head: Annotated[Component | dict[str, Any], ComponentOf(HEADS, late=True)] | None = None
    label_smoothing: float = pydantic.Field(0.0, ge=0.0, lt=1.0)
    huber_delta: float = pydantic.Field(1.0, gt=0.0)
    only: Only | None = None
    focal_gamma: float = pydantic.Field(0.0, ge=0.0)
    view: Literal["clean", "noised", "masked"] = "clean"
    context: bool = False


class Supervised(Objective[SupervisedConfig]):
    """Learn one labelled field of rows, or of constituents; each counts with the weight of its row.

    Terms of the loss: ``cross_entropy`` of a categorical label or ``huber`` of a continuous one; beside it
    ``accuracy`` or ``mae`` (mean absolute error, in the label's unit).
    """

    Config: ClassVar[type[BaseConfig]] = SupervisedConfig
    lets_through: ClassVar[str] = (
        "everything of the row, its context if the network has one, or what the noised or masked view lets "
        "through; the label is not in it"
    )

    def __init__(self, config: SupervisedConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.field = _target(config, schema)
        self.only = _only(config, schema)
        self.of_rows = self.field.level is schema.row
        self.view: str = config.view

    @classmethod
    def check(cls, config: SupervisedConfig, network: Network) -> None:
        """Refuse a network that is conditioned on the context of rows whose noised view is classified."""
        if config.view == "noised" and network.context is not None and not config.context:
            raise IncompatibleError(
                "objective 'supervised' on noised rows: the network is conditioned on "
                f"{', '.join(network.context.names)} of a row, from which its label can be read however much "
                "is noise; set data.context=null, or context=true of this term to allow it, as OmniLearned "
                "does"
            )

    @classmethod
    def requirements(cls, config: SupervisedConfig, schema: Schema) -> Requirements:
        """Return a head of the field that is learned; rows are those that `SupervisedConfig.only` names."""
        field, only = _target(config, schema), _only(config, schema)
        of_rows = field.level is schema.row
        return Requirements(
            labels=tuple(dict.fromkeys((field.name, *((only.field,) if only else ())))),
            heads={field.name: HeadSpec(_head(config, field, of_rows=of_rows), field)},
            rows=only,
            head_rows={field.name: only},
            signed_weights=True,
            views=frozenset({CLEAN} if config.view == CLEAN else ()),
            groups=frozenset({"shown", "read"} if config.view == CLEAN and of_rows else ()),
            reads=None if config.view == CLEAN else config.view,
        )

    def views(self, network: Network, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the batch as it is; nothing where another term makes the view."""
        return super().views(network, batch, draws) if self.config.view == CLEAN else {}

    @property
    def term(self) -> str:
        """Name of the term that is minimised."""
        return "cross_entropy" if self.field.kind is Kind.CATEGORICAL else "huber"

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows, or of the constituents, 0 for those that do not count.

        The weight of a noised or masked view is in the loss, not in the count.
        """
        batch = views[self.view].batch
        weights_B = row_weights(batch)
        if self.only is not None:
            label_B = batch.labels[self.only.field]
            weights_B = weights_B * torch.isin(label_B, label_B.new_tensor(self.only.numbers))
        if self.of_rows:
            return {self.term: weights_B}
        real_BN = batch.mask_BN & (batch.labels[self.field.name] >= 0)
        return {self.term: weights_B[:, None] * real_BN}

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the mean loss over the rows, or constituents, weighted by their weights."""
        output = outputs[self.view]
        batch, head = output.view.batch, network.heads[self.field.name]
        predicted = head(output.features, output.features.token_mask(batch.mask_BN)).float()
        target, weights_B = (
            batch.labels[self.field.name],
            self.weights({self.view: output.view})[self.term],
        )
        if not self.of_rows:
            return self._classification(
                predicted.flatten(0, 1), target.flatten().clamp(min=0), weights_B.flatten(), None
            )
        if self.field.kind is Kind.CATEGORICAL:
            return self._classification(predicted, target, weights_B, output.view.weight_B)
        scale: Tensor = head.scale_K  # type: ignore[assignment]
        return self._regression(predicted, target, weights_B, output.view.weight_B, scale=scale)

    def _classification(
        self, logits_BK: Tensor, label_B: Tensor, weights_B: Tensor, factor_B: Tensor | None
    ) -> Loss:
        loss_B = F.cross_entropy(
            logits_BK, label_B, reduction="none", label_smoothing=self.config.label_smoothing
        )
        if self.config.focal_gamma:
            p_B = logits_BK.softmax(-1).gather(1, label_B[:, None])[:, 0]
            loss_B = loss_B * (1 - p_B) ** self.config.focal_gamma
        if factor_B is not None:
            loss_B = loss_B * factor_B
        correct_B = (logits_BK.argmax(-1) == label_B).float()
        return Loss({self.term: mean(loss_B, weights_B), "accuracy": logged(correct_B, weights_B)})

    def _regression(
        self, value_B1: Tensor, target_B: Tensor, weights_B: Tensor, factor_B: Tensor | None, *, scale: Tensor
    ) -> Loss:
        value_B, delta = value_B1[:, 0], self.config.huber_delta
        loss_B = F.huber_loss(value_B / scale, target_B / scale, reduction="none", delta=delta)
        if factor_B is not None:
            loss_B = loss_B * factor_B
        error_B = (value_B - target_B).abs()
        return Loss({self.term: mean(loss_B, weights_B), "mae": logged(error_B, weights_B)})


def _target(config: SupervisedConfig, schema: Schema) -> Field:
    name = config.label or schema.label
    if name is None:
        raise IncompatibleError(
            "objective 'supervised' needs labels and this data set has none; label the data or name a field "
            "of the rows with objective.label=FIELD"
        )
    field = schema[name]
    if field.level is not schema.row:
        _check_of_constituents(config, field, schema)
    return field


def _check_of_constituents(config: SupervisedConfig, field: Field, schema: Schema) -> None:
    """Refuse a label of constituents that has no classes, or a view that may not show them all."""
    if field.kind is not Kind.CATEGORICAL:
        raise IncompatibleError(
            f"objective 'supervised' learns fields of the rows ({schema.row}) and classes of their "
            f"constituents; {field.name!r} is {field.kind} of the {field.level}"
        )
    if config.view != CLEAN:
        raise IncompatibleError(
            f"objective 'supervised': the view {config.view!r} does not show the constituents as they are, "
            f"and {field.name!r} is a label of them; set view=clean"
        )


def _head(config: SupervisedConfig, field: Field, *, of_rows: bool) -> Component:
    default, level = "classify" if field.kind is Kind.CATEGORICAL else "regress", "row"
    if not of_rows:
        default, level = "classify_constituents", "constituent"
    head = config.head
    if not isinstance(head, Component):
        head = resolve_component(HEADS, head or default, where="objective.head", default=default)
    if head.cls.level != level:
        raise IncompatibleError(
            f"objective 'supervised': {field.name!r} is a field of the {field.level}, and the head "
            f"{head.name!r} has an output for each {head.cls.level}; set head to {default}"
        )
    return head


def _only(config: SupervisedConfig, schema: Schema) -> RowSelection | None:
    """Return the rows that `SupervisedConfig.only` names."""
    if config.only is None:
        return None
    selection = RowSelection.of(config.only, schema, where="the data", error=IncompatibleError)
    if selection.field == _target(config, schema).name and len(selection.classes) == 1:
        raise IncompatibleError(
            f"objective 'supervised': only=[{', '.join(config.only)}] leaves one class of the label, and "
            "nothing to learn; name at least two"
        )
    return selection
