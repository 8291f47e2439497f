"""The simulation of whole events: Pythia 8, a detector, objects, and the particles of the hard process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hepfm.core.errors import ConfigError
from hepfm.core.schema import Field
from hepfm.data.schemas.events import EVENT_WEIGHT
from hepfm.simulate import events
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.collision_simulation import CollisionSimulation
from hepfm.simulate.event_recipe import EventRecipe
from hepfm.simulate.pythia import import_pythia

RECONSTRUCTION = (
    "parametrised: identification, isolation and tags by efficiencies and rates (recipe.objects) on the "
    "candidates of the detector; no pile-up, no trigger"
)


class EventSimulation(CollisionSimulation):
    """Events of collisions, process by process."""

    Config = EventRecipe
    weight: ClassVar[Field | None] = EVENT_WEIGHT
    config: EventRecipe

    def check(self) -> None:
        """Do what all simulations of collisions do, and look for the resonances whose masses are stored.

        Raises
        ------
        ConfigError
            For a bad line, and for a resonance that Pythia does not know.
        DataError
            For an event file that cannot be shared by chunks.
        """
        super().check()
        data = import_pythia().Pythia("", False).particleData
        for name in self.config.class_names:
            code = self.config.classes[name].resonance
            if code is not None and not data.isParticle(code):
                raise ConfigError(f"class {name}: Pythia knows no particle {code}; check resonance")

    def make(self, key: ChunkKey) -> Chunk:
        """Make a chunk."""
        return events.make_chunk(self.config, key)

    def provenance(self, counts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return what the store says about its making."""
        return {**super().provenance(counts), "reconstruction": RECONSTRUCTION}
