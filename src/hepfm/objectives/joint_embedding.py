"""What objectives have in common that compare vectors of rows: which are compared, and how they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, TypeVar

import pydantic
import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component, resolve_component
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Schema
from hepfm.networks.network import Network
from hepfm.nn.pooling import summary
from hepfm.nn.precision import at_least_single
from hepfm.objectives.augmentations import AUGMENTATIONS
from hepfm.objectives.augmentations.apply import Augmentations, augmented
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.projector import ProjectorConfig, build_projector
from hepfm.objectives.requirements import CLEAN, Requirements
from hepfm.objectives.together import StepRows

AUGMENTED = ("augmented_1", "augmented_2")
"""Names of the augmented views."""


class JointEmbeddingConfig(BaseConfig):
    """Options of every `JointEmbedding`.

    Attributes
    ----------
    augmentations
        Component specs of what is done to a row before it is shown, one after the other; nothing for ``[]``.
    projector
        Options of the projector, or None: then the network's own summaries of the rows are compared.
    """

    augmentations: Augmentations | None = None
    projector: ProjectorConfig | None = ProjectorConfig()


class PairConfig(JointEmbeddingConfig):
    """Options of a `JointEmbedding` of rows that belong together.

    Attributes
    ----------
    positives
        What belongs together. ``views``: two differently augmented views of a row. ``members``: the rows of a
        group, e.g. simulations of one event, each shown once; the data must say which they are, and
        ``data.members`` must bring them into one step.
    augmentations
        What is done to a row before it is shown; None stands for a cropping with ``views`` and for nothing
        with ``members``.
    """

    positives: Literal["views", "members"] = "views"

    @pydantic.model_validator(mode="after")
    def _check(self) -> PairConfig:
        if self.positives == "views" and self.augmentations == ():
            raise ValueError(
                "augmentations: two views of a row are alike without any; name some, or set positives=members"
            )
        return self


ConfigT = TypeVar("ConfigT", bound=JointEmbeddingConfig)


class JointEmbedding(Objective[ConfigT]):
    """Rows are projected to vectors, and these are compared with one another, all of a step together.

    Every objective of this kind has the same views and the same projector; they differ in what they ask of
    the vectors.
    """

    lets_through: ClassVar[str] = (
        "of a row all that the augmentations leave of it; of constituents that a cropping leaves out the "
        "row's axis, the origin of deta and dphi"
    )

    def __init__(self, config: ConfigT, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.projector = build_projector(config.projector, network.backbone.width)
        self.augmentations = [part.cls(part.config) for part in self.chosen(config)]

    @classmethod
    def chosen(cls, config: ConfigT) -> Sequence[Component]:
        """Return the augmentations of a config."""
        if config.augmentations is not None:
            return config.augmentations
        if not cls.two_views(config):
            return ()
        return (resolve_component(AUGMENTATIONS, "cropping", where="augmentations"),)

    @classmethod
    def two_views(cls, config: ConfigT) -> bool:
        """Tell whether a row is shown twice."""
        return not isinstance(config, PairConfig) or config.positives == "views"

    @classmethod
    def names(cls, config: ConfigT) -> tuple[str, ...]:
        """Return the names of the views."""
        if not cls.chosen(config):
            return (CLEAN,)
        return AUGMENTED if cls.two_views(config) else AUGMENTED[:1]

    @classmethod
    def requirements(cls, config: ConfigT, schema: Schema) -> Requirements:
        """Return its views; members of groups where they are compared, momenta where rows are turned."""
        members = isinstance(config, PairConfig) and config.positives == "members"
        if members and schema.group is None:
            raise IncompatibleError(
                "positives=members compares rows that belong together, and no field of these data says "
                "which do; simulate with `resimulate`, give the schema the role group, or set positives=views"
            )
        moves = any(part.cls.moves for part in cls.chosen(config))
        return Requirements(
            inputs=frozenset({"p4"} if moves else ()),
            views=frozenset(cls.names(config)),
            members=2 if members else 1,
        )

    @classmethod
    def check(cls, config: ConfigT, network: Network) -> None:
        """Refuse features without the directions that an augmentation changes."""
        for part in cls.chosen(config):
            part.cls.check(network.feature_names)

    @property
    def whole_step(self) -> bool:
        """Whether a term is a statistic of the whole step: all of them are."""
        return True

    def views(self, network: Network, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the rows, as they are or augmented."""
        names = self.names(self.config)
        if names == (CLEAN,):
            return super().views(network, batch, draws)
        return {name: View(augmented(batch, network, self.augmentations, draws, name)) for name in names}

    def identity(self, batch: Batch) -> Tensor:
        """Return what each row stands for, int64 (B,): those of one number belong together."""
        if isinstance(self.config, PairConfig) and self.config.positives == "members":
            assert batch.group_B is not None  # the requirements ask for it
            return batch.group_B
        return batch.rows_B

    def rows(self, outputs: Mapping[str, Output]) -> tuple[StepRows, Tensor]:
        """Return the vectors of all views, and the sum of the weights of the rows."""
        parts = [self._project(outputs[name], branch) for branch, name in enumerate(self.names(self.config))]
        whole = parts[0]
        for part in parts[1:]:
            whole = whole + part
        return whole, parts[0].weights_V.sum()

    def _project(self, output: Output, branch: int) -> StepRows:
        features, batch = output.features, output.view.batch
        vectors_BE = self.projector(summary(features.tokens_BND, features.pooled_BD, batch.mask_BN))
        vectors_BE = at_least_single(vectors_BE)
        identity_B = self.identity(batch)
        weights_B = row_weights(batch).to(vectors_BE.dtype)
        return StepRows(vectors_BE, identity_B, torch.full_like(identity_B, branch), weights_B)

    def row_weights(self, views: Mapping[str, View]) -> Tensor:
        """Return the weights of the rows."""
        return row_weights(views[self.names(self.config)[0]].batch)
