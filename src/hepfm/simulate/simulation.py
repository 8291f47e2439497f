"""The contract of a kind of simulation: chunks that can be made in any order, and their record."""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import pydantic

import hepfm
from hepfm.core import config
from hepfm.core.config import fingerprint
from hepfm.core.schema import Field, Schema
from hepfm.simulate.chunk import Chunk, ChunkKey

SPLITS = ("train", "val", "test")


class SplitSizes(config.Config):
    """Rows of each split; of jets, in each class.

    Attributes
    ----------
    train, val, test
        Rows of this split; 0 for a split that is not needed.
    """

    train: int = pydantic.Field(default=0, ge=0)
    val: int = pydantic.Field(default=0, ge=0)
    test: int = pydantic.Field(default=0, ge=0)


class SimulationRecipe(config.Config):
    """What the recipes of all kinds have in common. The section named like the kind holds the `SplitSizes`.

    Attributes
    ----------
    kind
        The kind of simulation, which is also what its rows are called.
    description
        One line.
    seed
        Seed of everything.
    """

    kind: str
    description: str = ""
    seed: int = pydantic.Field(default=0, ge=0)

    @pydantic.model_validator(mode="after")
    def _check_sizes(self) -> SimulationRecipe:
        if sum(self.sizes.values()) == 0:
            raise ValueError(f"no {self.kind} asked for; give e.g. {self.kind}.train=1000")
        return self

    @property
    def sizes(self) -> dict[str, int]:
        """Rows of each split; of jets, in each class."""
        return getattr(self, self.kind).model_dump()


class Simulation(ABC):
    """A recipe with what it takes to carry it out. Built by ``cls(config)``; it travels to other processes.

    The class of a kind is a row of `hepfm.simulate.SIMULATIONS`, under the name that is its recipe's `kind`.
    """

    Config: ClassVar[type[SimulationRecipe]]
    """The recipe; its `kind` is the name in the registry."""
    libraries: ClassVar[tuple[str, ...]]
    """Distributions whose versions the rows depend on."""
    generates_events: ClassVar[bool]
    """Whether rows come from generated events; otherwise each row is one event of its own."""
    weight: ClassVar[Field | None] = None
    """The field in which chunks hold the weight of a row's event; None where rows have no weights."""

    def __init__(self, config: SimulationRecipe) -> None:
        self.config = config

    @property
    def kind(self) -> str:
        """Name of the kind; what the rows are called."""
        return self.config.kind

    @property
    def seed(self) -> int:
        """Seed of everything."""
        return self.config.seed

    def versions(self) -> dict[str, str]:
        """Return the versions that the rows depend on."""
        return {
            "hepfm": hepfm.__version__,
            **{name: importlib.metadata.version(name) for name in self.libraries},
        }

    def fingerprint(self) -> str:
        """Return a hash of everything that changes the rows."""
        return fingerprint(self.contents())

    def contents(self) -> dict[str, Any]:
        """Return JSON-ready values of everything that changes the rows, contents of files among them."""
        return self.config.model_dump(mode="json", exclude={"description"})

    def provenance(self, counts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return what the store says about its making; `counts` has events, rows and weights by class."""
        return {
            "recipe": self.config.model_dump(mode="json"),
            "recipe_fingerprint": self.fingerprint(),
            "seed": self.seed,
            "versions": self.versions(),
            "classes": {name: dict(row) for name, row in counts.items()},
        }

    def variant(self, key: ChunkKey) -> int:
        """Return which of the processes of its class a chunk is made of; 0 where there is only one."""
        return 0

    @abstractmethod
    def schema(self, *, weighted: bool = False) -> Schema:
        """Return the schema of the store, with a field for event weights if they are not all 1."""

    @abstractmethod
    def check(self) -> None:
        """Raise `ConfigError` for what only shows when the recipe is carried out."""

    @abstractmethod
    def chunks(self) -> list[ChunkKey]:
        """Return the chunks; no chunk serves two splits, so no event does."""

    @abstractmethod
    def make(self, key: ChunkKey) -> Chunk:
        """Make a chunk; the same key gives the same rows."""
