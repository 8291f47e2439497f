"""The simulation of jets: Pythia 8, a detector, clustering, labels."""

from __future__ import annotations

from typing import Any, ClassVar

from hepfm.core.schema import Field
from hepfm.data.schemas.jets import JET_WEIGHT
from hepfm.simulate import dijet_jets, jets, level_jets, resimulated_jets
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.collision_simulation import CollisionSimulation
from hepfm.simulate.jet_recipe import JetRecipe


class JetSimulation(CollisionSimulation):
    """Jets of collisions, class by class."""

    Config = JetRecipe
    weight: ClassVar[Field | None] = JET_WEIGHT
    config: JetRecipe

    def contents(self) -> dict[str, Any]:
        """Return everything that changes the jets, matches with their defaults among them."""
        values = super().contents()
        for name, row in values["classes"].items():
            row["match"] = self.config.match(name).model_dump(mode="json")
        return values

    def make(self, key: ChunkKey) -> Chunk:
        """Make a chunk."""
        if self.config.resimulate is not None:
            return resimulated_jets.make_chunk(self.config, key)
        if self.config.levels is not None:
            return level_jets.make_chunk(self.config, key)
        if self.config.dijet is not None:
            return dijet_jets.make_chunk(self.config, key)
        return jets.make_chunk(self.config, key)
