"""Objectives that work on a view which another term of a sum makes."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from hepfm.core.batch import Batch
from hepfm.core.config import Config
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Schema
from hepfm.objectives.base import Objective, View


class Borrower(Objective):
    """An objective that makes no view of its own: it trains inside ``weighted_sum`` only."""

    alone: ClassVar[str]
    """Its name and the fix, for the message when it stands alone."""

    @classmethod
    @abstractmethod
    def borrows(cls, config: Config) -> str:
        """Return the name of the view that another term has to make."""

    @classmethod
    @abstractmethod
    def borrowed_targets(cls, config: Config, schema: Schema) -> tuple[str, ...]:
        """Return the label fields that the loss reads inside a sum."""

    @classmethod
    def targets(cls, config: Config, schema: Schema) -> tuple[str, ...]:
        """Raise `IncompatibleError`: only an objective that stands alone is asked this."""
        raise IncompatibleError(cls.alone)

    def views(self, batch: Batch, draws: Draws) -> dict[str, View]:
        """Raise `IncompatibleError`: only an objective that stands alone is asked this."""
        raise IncompatibleError(self.alone)
