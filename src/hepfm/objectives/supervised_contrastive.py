"""Supervised contrastive training: rows of one class are found among all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

import pydantic
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Kind, Schema
from hepfm.networks.network import Network
from hepfm.objectives.base import Output, View
from hepfm.objectives.joint_embedding import JointEmbedding, JointEmbeddingConfig
from hepfm.objectives.loss import Loss
from hepfm.objectives.requirements import Requirements
from hepfm.objectives.similarity import contrast, nearest_is_positive
from hepfm.objectives.together import Together


class SupervisedContrastiveConfig(JointEmbeddingConfig):
    """Options of `SupervisedContrastive`.

    Attributes
    ----------
    label
        The categorical field whose classes belong together; None means the label that the store's schema
        names.
    temperature
        What similarities are divided by; 0.1 in 2004.11362.
    augmentations
        What is done to a row before it is shown. With any, it is shown twice; without, None or ``[]``, once
        as it is.
    """

    label: str | None = None
    temperature: float = pydantic.Field(0.1, gt=0)


class SupervisedContrastive(JointEmbedding[SupervisedContrastiveConfig]):
    """The supervised contrastive loss (2004.11362, "L_out"); on jets an arm of 2511.12829.

    A row of a class of which the step has no other counts as a negative of the others alone; one of weight 0
    takes no part. Where a step has one class only, its rows are pushed apart.

    Terms of the loss: ``sup_con``; beside it ``nearest``, the share of vectors whose most similar vector is
    of their class.
    """

    Config: ClassVar[type[BaseConfig]] = SupervisedContrastiveConfig
    lets_through = (
        "everything that the augmentations leave of a row, all of it without any; the label is not in it"
    )

    def __init__(self, config: SupervisedContrastiveConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.label = _label(config, schema)

    @classmethod
    def chosen(cls, config: SupervisedContrastiveConfig) -> Sequence[Component]:
        """Return the augmentations of a config."""
        return config.augmentations or ()

    @classmethod
    def requirements(cls, config: SupervisedContrastiveConfig, schema: Schema) -> Requirements:
        """Return the label beside the views."""
        return replace(super().requirements(config, schema), labels=(_label(config, schema),))

    def identity(self, batch: Batch) -> Tensor:
        """Return the class of each row."""
        return batch.labels[self.label]

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows."""
        return {"sup_con": self.row_weights(views)}

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the loss over all rows of the step."""
        rows, count = self.rows(outputs)
        statistic = partial(contrast, temperature=self.config.temperature)
        return Loss(
            {
                "sup_con": Together(rows, count, statistic),
                "nearest": Together(rows.detached(), count, nearest_is_positive, weight=0.0),
            }
        )


def _label(config: SupervisedContrastiveConfig, schema: Schema) -> str:
    name = config.label or schema.label
    if name is None:
        raise IncompatibleError(
            "objective 'supervised_contrastive' needs classes and this data set has no label; label the "
            "data, or name a field of the rows with objective.label=FIELD"
        )
    field = schema[name]
    if field.level is not schema.row or field.kind is not Kind.CATEGORICAL:
        raise IncompatibleError(
            f"objective 'supervised_contrastive' compares rows of classes; {name!r} is of level "
            f"{field.level} and kind {field.kind}, not a categorical field of the rows ({schema.row})"
        )
    return name
