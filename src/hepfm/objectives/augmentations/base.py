"""The contract of an augmentation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from hepfm.core import config
from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError

ConfigT = TypeVar("ConfigT", bound=config.Config)

NEEDED = ("deta", "dphi", "log_pt")
"""Features without which directions cannot be changed."""


class Augmentation(ABC, Generic[ConfigT]):
    """Changes the constituents of rows at random. Built by ``cls(config)``; it has no weights.

    Features and four-momenta change together. Features relative to the whole row, and the context, are made
    anew by the objective when all augmentations are done.
    """

    Config: ClassVar[type[config.Config]]
    moves: ClassVar[bool] = True
    """Whether it changes momenta, and so needs them and the features of directions."""

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    @classmethod
    def check(cls, feature_names: Sequence[str]) -> None:
        """Raise `IncompatibleError` for features whose directions it cannot change."""
        missing = [name for name in NEEDED if name not in feature_names] if cls.moves else []
        if missing:
            raise IncompatibleError(
                f"the augmentation {cls.__name__.lower()!r} needs the features {', '.join(NEEDED)}, and "
                f"these lack {', '.join(missing)} (they are {', '.join(feature_names)}); choose others, "
                "or augmentations: [cropping]"
            )

    @abstractmethod
    def __call__(self, batch: Batch, draws: Draws, name: str, feature_names: Sequence[str]) -> Batch:
        """Return the rows changed; random numbers come from ``draws.rows(batch.rows_B)`` under `name`.

        Parameters
        ----------
        batch
            The rows; of what is known of a whole row nothing has to be kept right.
        draws
            The random numbers of the step.
        name
            First part of the names of its draws: another view has other ones.
        feature_names
            Names of the columns of ``batch.features_BNF``.
        """
