"""What a simulation is to the verb ``simulate``: chunks that can be made in any order, and their record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from hepfm.core.config import Config, validate
from hepfm.core.errors import ConfigError
from hepfm.core.schema import Schema
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.recipe import Recipe, read_recipe, read_values


class SimulationPlan(Protocol):
    """A recipe with what it takes to carry it out. It travels to other processes."""

    rows: ClassVar[str]
    """What the rows are: ``"jets"`` or ``"showers"``."""

    @property
    def recipe(self) -> Config:
        """What is simulated; its section named like the rows has their numbers by split."""

    @property
    def seed(self) -> int:
        """Seed of everything."""

    def fingerprint(self) -> str:
        """Return a hash of everything that changes the rows."""

    def versions(self) -> dict[str, str]:
        """Return the versions that the rows depend on."""

    def schema(self, *, weighted: bool = False) -> Schema:
        """Return the schema of the store, with a field for event weights if they are not all 1."""

    def variant(self, key: ChunkKey) -> int:
        """Return which of the processes of its class a chunk is made of; 0 where there is only one."""

    def chunks(self) -> list[ChunkKey]:
        """Return the chunks; no chunk serves two splits, so no event does."""

    def check(self) -> None:
        """Raise `ConfigError` for what only shows when the recipe is carried out."""

    def make(self, key: ChunkKey) -> Chunk:
        """Make a chunk; the same key gives the same rows."""

    def provenance(self, counts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return what the store says about its making; `counts` has events, rows and weights by class."""


def read_plan(
    recipe: str | Path | Mapping[str, Any] | Recipe, *, overrides: Sequence[str] = (), seed: int | None = None
) -> SimulationPlan:
    """Read and check a recipe, of showers where it has the section ``showers``, else of jets.

    The parameters are those of `hepfm.simulate.recipe.read_recipe`.
    """
    from hepfm.simulate.jet_plan import JetPlan
    from hepfm.simulate.showers import ShowerPlan, ShowerRecipe

    values, where = read_values(recipe, overrides)
    if isinstance(values, Recipe) or "showers" not in values:
        return JetPlan(read_recipe(recipe, overrides=overrides, seed=seed))
    if seed is not None:
        values = {**values, "seed": seed}
    checked = validate(ShowerRecipe, values, where=where)
    if sum(checked.showers.model_dump().values()) == 0:
        raise ConfigError(f"{where}: no showers asked for; give e.g. showers.train=1000")
    return ShowerPlan(checked)
