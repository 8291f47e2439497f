"""Simulations whose rows come from collisions: what they check, and what their stores say of their making."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hepfm.core.schema import Schema
from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.collision_recipe import CollisionRecipe, ProcessRecipe
from hepfm.simulate.collisions import chunk_keys
from hepfm.simulate.event_files import check_files, file_hashes
from hepfm.simulate.pythia import configured
from hepfm.simulate.simulation import Simulation


class CollisionSimulation(Simulation):
    """Rows of collisions, class by class."""

    libraries: ClassVar[tuple[str, ...]] = ("pythia8mc", "fastjet", "numpy")
    generates_events: ClassVar[bool] = True
    config: CollisionRecipe

    def contents(self) -> dict[str, Any]:
        """Return everything that changes the rows, event files and lines of variations among them."""
        return {**super().contents(), "variations": self._variations(), **self._event_files()}

    def _event_files(self) -> dict[str, dict[str, str]]:
        hashes = file_hashes(self.config)
        return {"event_files": hashes} if hashes else {}

    def _variations(self) -> dict[str, list[str]]:
        """Return the Pythia lines of the variations by name; none where events are simulated once."""
        again = self.config.simulated_again()
        return again.resolved() if again else {}

    def schema(self, *, weighted: bool = False) -> Schema:
        """Return the schema of the store, with a field for event weights if they are not all 1."""
        return self.config.store_schema(weighted=weighted)

    def variant(self, key: ChunkKey) -> int:
        """Return which variant of its class a chunk is made of."""
        return key.index % self.config.num_variants(key.class_name)

    def chunks(self) -> list[ChunkKey]:
        """Return the chunks, class after class within each split."""
        return chunk_keys(self.config)

    def check(self) -> None:
        """Let Pythia read the lines of every class, unstarted, and look at the event files they name.

        Raises
        ------
        ConfigError
            For a bad line.
        DataError
            For an event file that cannot be shared by chunks.
        """
        for name in self.config.class_names:
            for variant in range(self.config.num_variants(name)):
                lines = self.config.lines(name, variant)
                configured(lines, where=f"class {name}")
                for variation, more in self._variations().items():
                    configured((*lines, *more), where=f"class {name}, variation {variation}")
        check_files(self.config)

    def provenance(self, counts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return what the store says about its making, with every Pythia line in force."""
        recipe = self.config
        described = {
            name: {
                **counts[name],
                "pythia": list(recipe.lines(name, 0)),
                "variants": [list(lines) for lines in _variants(recipe.classes[name])],
            }
            for name in recipe.class_names
        }
        return {
            "source": "simulated with Pythia 8 and FastJet by hepfm",
            **super().provenance(described),
            "detector": recipe.detector.spec(),
            **({"variations": self._variations()} if recipe.simulated_again() else {}),
            **self._event_files(),
        }


def _variants(process: ProcessRecipe) -> tuple[tuple[str, ...], ...]:
    """Return the lines of each variant; nothing where a class is one process."""
    variants = process.processes()
    return () if variants == ((),) else variants
