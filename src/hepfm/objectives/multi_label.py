"""Many yes-or-no labels of a row at once: the sum of their binary cross-entropies (2412.10665)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated

import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component, ComponentOf
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import DataError, IncompatibleError, did_you_mean
from hepfm.core.log import logger
from hepfm.core.schema import Field, Schema
from hepfm.heads import HEADS
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.loss import Loss, logged, mean
from hepfm.objectives.requirements import CLEAN, Requirements

Positive = Annotated[float, pydantic.Field(gt=0.0)]
_TERM = "binary_cross_entropy"


class MultiLabelConfig(BaseConfig):
    """Options of `MultiLabel`.

    Attributes
    ----------
    labels
        Fields of the rows with two classes, by name or by pattern (``truth_*``, ``truth_top_*``).
    head
        Component spec of the head of each label.
    balance
        Whether both answers of a label count alike, however rare one of them is. The answers are counted in
        some thousand training rows.
    most_balance
        Greatest factor by which a row counts more for its rare answer.
    label_weights
        Weights of single labels in the loss, by name; 1 for all others.
    """

    labels: Annotated[tuple[str, ...], pydantic.Field(min_length=1)] = ("truth_*",)
    head: Annotated[Component, ComponentOf(HEADS, default="classify")] = pydantic.Field(
        "classify",
        validate_default=True,
    )
    balance: bool = False
    most_balance: Annotated[float, pydantic.Field(ge=1.0)] = 20.0
    label_weights: dict[str, Positive] = pydantic.Field(default_factory=dict)


class MultiLabel(Objective[MultiLabelConfig]):
    """Learn many labels with two classes each; a row counts with its weight for each of them.

    Every label has a head of its own, of two outputs whose difference is the logit: with the head
    ``classify`` they are together one linear layer, and each can be measured, kept or dropped by itself.

    Terms of the loss: ``binary_cross_entropy``, the mean over rows and labels; beside it ``accuracy``.
    """

    Config = MultiLabelConfig
    lets_through = "everything of the row, its context if the network has one; the labels are not in it"

    answer_weight_K2: Tensor
    """Factor of a row for each answer of each label."""

    def __init__(self, config: MultiLabelConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.fields = [field.name for field in _fields(config, schema)]
        weights = [config.label_weights.get(name, 1.0) for name in self.fields]
        self.register_buffer("answer_weight_K2", torch.tensor(weights)[:, None].repeat(1, 2))

    @classmethod
    def requirements(cls, config: MultiLabelConfig, schema: Schema) -> Requirements:
        """Return a head for each label."""
        fields = _fields(config, schema)
        if config.head.cls.level != "row":
            raise IncompatibleError(
                f"objective 'multi_label' learns labels of rows, and the head {config.head.name!r} has an "
                f"output for each {config.head.cls.level}; set head to classify"
            )
        return Requirements(
            labels=tuple(field.name for field in fields),
            heads={field.name: HeadSpec(config.head, field) for field in fields},
            head_rows={field.name: None for field in fields},
            signed_weights=True,
            groups=frozenset({"shown", "read"}),
        )

    @torch.no_grad()
    def prepare(self, network: Network, batches: Iterable[Batch]) -> None:
        """Count the answers; with `MultiLabelConfig.balance` weigh them.

        Raises
        ------
        DataError
            When answers are to be balanced, and a label has one answer only.
        """
        yes_K, rows = torch.zeros(len(self.fields)), 0
        for batch in batches:
            yes_K += self._targets(batch).float().sum(0).cpu()
            rows += len(batch)
        constant = [
            name for name, yes in zip(self.fields, yes_K.tolist(), strict=True) if yes in (0.0, float(rows))
        ]
        if constant and self.config.balance:
            raise DataError(
                f"objective 'multi_label': {', '.join(constant)} has one answer in all of {rows} training "
                "rows and cannot be balanced; leave it out of labels, or set balance=false"
            )
        if constant:
            logger.warning("one answer in all of %d training rows: %s", rows, ", ".join(constant))
        if self.config.balance:
            share_K2 = torch.stack((rows - yes_K, yes_K), dim=1) / rows
            factor_K2 = (0.5 / share_K2).clamp(max=self.config.most_balance)
            self.answer_weight_K2.mul_(factor_K2.to(self.answer_weight_K2))

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows for each label, (B, K)."""
        batch = views[CLEAN].batch
        return {_TERM: row_weights(batch)[:, None] * self._answer_weights(self._targets(batch))}

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the mean over rows and labels, weighted by their weights."""
        output = outputs[CLEAN]
        batch = output.view.batch
        mask_BN = output.features.token_mask(batch.mask_BN)
        said = [network.heads[name](output.features, mask_BN).float() for name in self.fields]
        logits_BK = torch.stack([pair_B2[:, 1] - pair_B2[:, 0] for pair_B2 in said], dim=1)
        target_BK = self._targets(batch)
        loss_BK = F.binary_cross_entropy_with_logits(logits_BK, target_BK.float(), reduction="none")
        weights_BK = self.weights({CLEAN: output.view})[_TERM]
        correct_BK = ((logits_BK > 0) == target_BK).float()
        rows_BK = row_weights(batch)[:, None].expand_as(correct_BK)
        return Loss({_TERM: mean(loss_BK, weights_BK), "accuracy": logged(correct_BK, rows_BK)})

    def _targets(self, batch: Batch) -> Tensor:
        """Return the answers, boolean (B, K)."""
        return torch.stack([batch.labels[name] for name in self.fields], dim=1) == 1

    def _answer_weights(self, target_BK: Tensor) -> Tensor:
        no_K, yes_K = self.answer_weight_K2.unbind(1)
        return torch.where(target_BK, yes_K, no_K)


def _fields(config: MultiLabelConfig, schema: Schema) -> list[Field]:
    """Return the fields that are learned; refuse what is no label of rows with two classes."""
    fields: dict[str, Field] = {}
    for pattern in config.labels:
        found = [field for field in schema if fnmatchcase(field.name, pattern)]
        if not found:
            raise IncompatibleError(
                f"objective 'multi_label': the data have no field {pattern!r}"
                f"{did_you_mean(pattern, schema.names())}; make labels of events with `hepfm data label "
                "STORE --labels event_truth -o STORE`, or name other fields in objective.labels"
            )
        fields.update({field.name: field for field in found})
    for name, field in fields.items():
        if field.level is not schema.row or len(field.classes) != 2:
            raise IncompatibleError(
                f"objective 'multi_label' learns fields of the rows ({schema.row}) with two classes; "
                f"{name!r} is {_described(field)}"
            )
    unknown = [name for name in config.label_weights if name not in fields]
    if unknown:
        raise IncompatibleError(
            f"objective 'multi_label': label_weights names {', '.join(unknown)}, which is no label that is "
            f"learned{did_you_mean(unknown[0], fields)}"
        )
    return list(fields.values())


def _described(field: Field) -> str:
    classes = f" with {len(field.classes)} classes" if field.classes else ""
    return f"{field.kind} of the {field.level}{classes}"
