"""The simulation of jets: Pythia 8, a detector, clustering, labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hepfm.core.schema import Schema
from hepfm.simulate import jets, resimulated_jets
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.event_files import check_files, file_hashes
from hepfm.simulate.jet_recipe import JetRecipe
from hepfm.simulate.jets import chunk_keys
from hepfm.simulate.pythia import configured
from hepfm.simulate.simulation import Simulation


class JetSimulation(Simulation):
    """Jets of collisions, class by class."""

    Config = JetRecipe
    libraries: ClassVar[tuple[str, ...]] = ("pythia8mc", "fastjet", "numpy")
    generates_events: ClassVar[bool] = True
    config: JetRecipe

    def contents(self) -> dict[str, Any]:
        """Return everything that changes the jets: matches with their defaults, and event files."""
        values = super().contents()
        for name, row in values["classes"].items():
            row["match"] = self.config.match(name).model_dump(mode="json")
        return {**values, "variations": self._variations(), **self._event_files()}

    def _event_files(self) -> dict[str, dict[str, str]]:
        hashes = file_hashes(self.config)
        return {"event_files": hashes} if hashes else {}

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

    def make(self, key: ChunkKey) -> Chunk:
        """Make a chunk."""
        make = resimulated_jets.make_chunk if self.config.resimulate else jets.make_chunk
        return make(self.config, key)

    def _variations(self) -> dict[str, list[str]]:
        """Return the Pythia lines of the variations by name; none where events are simulated once."""
        return self.config.resimulate.resolved() if self.config.resimulate else {}

    def provenance(self, counts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return what the store says about its making, with every Pythia line in force."""
        recipe = self.config
        described = {
            name: {
                **counts[name],
                "pythia": list(recipe.lines(name, 0)),
                "variants": [list(variant) for variant in recipe.classes[name].variants],
            }
            for name in recipe.class_names
        }
        return {
            "source": "simulated with Pythia 8 and FastJet by hepfm",
            **super().provenance(described),
            "detector": recipe.detector.spec(),
            **({"variations": self._variations()} if recipe.resimulate else {}),
            **self._event_files(),
        }
