"""The contract of a labeller."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from hepfm.core import config
from hepfm.core.ragged import Array
from hepfm.core.schema import Field
from hepfm.physics.clustering import Jets
from hepfm.simulate.particles import Bools
from hepfm.simulate.pythia import Record

MatchT = TypeVar("MatchT", bound=config.Config)


@dataclass(frozen=True)
class JetLabels:
    """What a labeller says of jets.

    Attributes
    ----------
    belongs
        Which jets belong to the class, shape (J,).
    columns
        The labeller's fields of every jet by name, shape (J,) each.
    """

    belongs: Bools
    columns: Mapping[str, Array] = field(default_factory=dict)


class Labeller(ABC, Generic[MatchT]):
    """Tells which jets belong to a class, and makes the truth fields. Built by ``cls(config)``."""

    Config: ClassVar[type[config.Config]] = config.Config
    """Options of the labeller."""
    Match: ClassVar[type[config.Config]]
    """What a class of a recipe says under ``match``; without any key every jet belongs to the class."""
    fields: ClassVar[tuple[Field, ...]] = ()
    """Fields that the store has because of this labeller."""

    def __init__(self, config: config.Config) -> None:
        self.config = config

    @abstractmethod
    def label(self, record: Record, jets: Jets, match: MatchT, *, radius: float) -> JetLabels:
        """Label jets.

        Parameters
        ----------
        record
            The events as generated.
        jets
            All jets of these events that are within the cuts.
        match
            What the class asks for.
        radius
            Jet radius: how far from the axis truth may lie.
        """
