"""Supervised training: cross-entropy of a categorical label, Huber loss of a continuous one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic
import torch.nn.functional as F
from torch import Tensor

from hepfm.core.config import Component, resolve_component
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Field, Kind, Schema
from hepfm.heads import HEADS
from hepfm.networks.network import Network, Output
from hepfm.objectives.base import CLEAN, Objective, Seen, View, row_weights
from hepfm.objectives.loss import Loss, logged, mean


class SupervisedConfig(BaseConfig):
    """Options of `Supervised`.

    Attributes
    ----------
    label
        The field to learn; None means the label that the store's schema names.
    head
        Component spec of the head; None means ``classify`` for a categorical label, else ``regress``.
    label_smoothing
        Share of the target spread evenly over all classes, in [0, 1); 0 in 2202.03772.
    huber_delta
        Where the loss of a continuous label turns from quadratic to linear, in units of the head's ``scale``.
    only
        A field and one of its classes: rows of other classes do not count, and are in no label budget. For
        labels that have a meaning for some rows only, as the decay mode of a tau in a store with quarks:
        ``[jet_label, tau]``.
    focal_gamma
        Power of (1 - p) that the cross-entropy is multiplied by, p the probability of the true class: above 0
        rows that are hard to tell count more (focal loss, 1708.02002).
    """

    label: str | None = None
    head: str | dict[str, Any] | None = None
    label_smoothing: float = pydantic.Field(0.0, ge=0.0, lt=1.0)
    huber_delta: float = pydantic.Field(1.0, gt=0.0)
    only: tuple[str, str] | None = None
    focal_gamma: float = pydantic.Field(0.0, ge=0.0)


class Supervised(Objective):
    """Learn one labelled field of the rows; each row counts with its weight.

    Terms of the loss: ``cross_entropy`` of a categorical label or ``huber`` of a continuous one; beside it
    ``accuracy`` or ``mae`` (mean absolute error, in the label's unit).
    """

    Config = SupervisedConfig
    needs = frozenset({"labels"})
    signed_weights = True
    lets_through = "everything of the row, its context if the network has one; the label is not in it"

    def __init__(self, config: SupervisedConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.config: SupervisedConfig = config
        self.field = _target(config, schema)
        self.only = _only(config, schema)
        if self.field.name not in network.heads:
            network.add_head(Output(_head(config, self.field), self.field))

    @classmethod
    def targets(cls, config: BaseConfig, schema: Schema) -> tuple[str, ...]:
        """Return the field that is learned, and the one that says which rows count."""
        assert isinstance(config, SupervisedConfig)
        only = _only(config, schema)
        return tuple(dict.fromkeys((_target(config, schema).name, *(only[:1] if only else ()))))

    @classmethod
    def predicts(cls, config: BaseConfig, schema: Schema) -> tuple[str, ...]:
        """Return the field that is learned."""
        assert isinstance(config, SupervisedConfig)
        return (_target(config, schema).name,)

    @classmethod
    def counting(cls, config: BaseConfig, schema: Schema) -> tuple[str, int] | None:
        """Return what `SupervisedConfig.only` names."""
        assert isinstance(config, SupervisedConfig)
        return _only(config, schema)

    @property
    def term(self) -> str:
        """Name of the term that is minimised."""
        return "cross_entropy" if self.field.kind is Kind.CATEGORICAL else "huber"

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows, 0 for those that do not count."""
        batch = views[CLEAN].batch
        weights_B = row_weights(batch)
        if self.only is not None:
            name, number = self.only
            weights_B = weights_B * (batch.labels[name] == number)
        return {self.term: weights_B}

    def loss(self, seen: Mapping[str, Seen], draws: Draws) -> Loss:
        """Return the mean loss over the rows, weighted by their weights."""
        view, features = seen[CLEAN].view, seen[CLEAN].features
        output = self.network.heads[self.field.name](features, view.batch.mask_BN).float()
        target = view.batch.labels[self.field.name]
        weights_B = self.weights({CLEAN: view})[self.term]
        if self.field.kind is Kind.CATEGORICAL:
            return self._classification(output, target, weights_B)
        return self._regression(output, target[:, None], weights_B)

    def _classification(self, logits_BK: Tensor, label_B: Tensor, weights_B: Tensor) -> Loss:
        loss_B = F.cross_entropy(
            logits_BK, label_B, reduction="none", label_smoothing=self.config.label_smoothing
        )
        if self.config.focal_gamma:
            p_B = logits_BK.softmax(-1).gather(1, label_B[:, None])[:, 0]
            loss_B = loss_B * (1 - p_B) ** self.config.focal_gamma
        correct_B = (logits_BK.argmax(-1) == label_B).float()
        return Loss({self.term: mean(loss_B, weights_B), "accuracy": logged(correct_B, weights_B)})

    def _regression(self, value_B1: Tensor, target_B1: Tensor, weights_B: Tensor) -> Loss:
        scale: Tensor = self.network.heads[self.field.name].scale_K  # type: ignore[assignment]
        delta = self.config.huber_delta
        loss_B1 = F.huber_loss(value_B1 / scale, target_B1 / scale, reduction="none", delta=delta)
        error_B1 = (value_B1 - target_B1).abs()
        return Loss({self.term: mean(loss_B1[:, 0], weights_B), "mae": logged(error_B1[:, 0], weights_B)})


def _target(config: SupervisedConfig, schema: Schema) -> Field:
    name = config.label or schema.label
    if name is None:
        raise IncompatibleError(
            "objective 'supervised' needs labels and this data set has none; label the data or name a field "
            "of the rows with objective.label=FIELD"
        )
    field = schema[name]
    if field.level is not schema.row:
        raise IncompatibleError(
            f"objective 'supervised' learns fields of the rows ({schema.row}); "
            f"{name!r} belongs to the {field.level}"
        )
    return field


def _head(config: SupervisedConfig, field: Field) -> Component:
    default = "classify" if field.kind is Kind.CATEGORICAL else "regress"
    return resolve_component(HEADS, config.head or default, where="objective.head", default=default)


def _only(config: SupervisedConfig, schema: Schema) -> tuple[str, int] | None:
    """Return field and class number of `SupervisedConfig.only`."""
    if config.only is None:
        return None
    name, value = config.only
    field = schema[name]
    if field.kind is not Kind.CATEGORICAL or value not in field.classes:
        raise IncompatibleError(
            f"objective 'supervised': only=[{name}, {value}] names no class; {name!r} has the classes "
            f"{', '.join(field.classes) or 'none'}"
        )
    return name, field.classes.index(value)
