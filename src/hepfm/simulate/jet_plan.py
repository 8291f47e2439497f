"""The plan of a simulation of jets: Pythia 8, a detector, clustering."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import hepfm
from hepfm.core.schema import Schema
from hepfm.simulate import jets
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.jets import chunk_keys
from hepfm.simulate.lhe import check_strategy, file_hashes
from hepfm.simulate.pythia import configured
from hepfm.simulate.recipe import Recipe


@dataclass(frozen=True)
class JetPlan:
    """A recipe of jets, carried out; see `hepfm.simulate.plan.SimulationPlan`.

    Attributes
    ----------
    recipe
        The recipe.
    """

    recipe: Recipe
    rows: ClassVar[str] = "jets"

    @property
    def seed(self) -> int:
        """Seed of everything."""
        return self.recipe.seed

    def fingerprint(self) -> str:
        """Return a hash of everything that changes the jets."""
        return self.recipe.fingerprint()

    def versions(self) -> dict[str, str]:
        """Return the versions that the jets depend on."""
        return versions()

    def schema(self, *, weighted: bool = False) -> Schema:
        """Return the schema of the store, with a field for event weights if they are not all 1."""
        return self.recipe.store_schema(weighted=weighted)

    def variant(self, key: ChunkKey) -> int:
        """Return which variant of its class a chunk is made of."""
        return key.index % max(1, len(self.recipe.classes[key.class_name].variants))

    def chunks(self) -> list[ChunkKey]:
        """Return the chunks, class after class within each split."""
        return chunk_keys(self.recipe)

    def check(self) -> None:
        """Let Pythia read the lines of every class, unstarted, and look at the event files they name.

        Raises
        ------
        ConfigError
            For a bad line.
        DataError
            For an event file that cannot be shared by chunks.
        """
        for name in self.recipe.class_names:
            for variant in range(max(1, len(self.recipe.classes[name].variants))):
                configured(self.recipe.lines(name, variant), where=f"class {name}")
        for path in file_hashes(self.recipe):
            check_strategy(Path(path))

    def make(self, key: ChunkKey) -> Chunk:
        """Make a chunk."""
        return jets.make_chunk(self.recipe, key)

    def provenance(self, counts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return what the store says about its making."""
        recipe = self.recipe
        return {
            "source": "simulated with Pythia 8 and FastJet by hepfm",
            "recipe": recipe.model_dump(mode="json"),
            "recipe_fingerprint": recipe.fingerprint(),
            "seed": recipe.seed,
            "detector": recipe.detector_component().spec(),
            **({"event_files": files} if (files := file_hashes(recipe)) else {}),
            "versions": versions(),
            "classes": {
                name: {
                    **counts[name],
                    "pythia": list(recipe.lines(name, 0)),
                    "variants": [list(v) for v in recipe.classes[name].variants],
                }
                for name in recipe.class_names
            },
        }


def versions() -> dict[str, str]:
    """Return the versions that jets depend on."""
    libraries = {name: importlib.metadata.version(name) for name in ("pythia8mc", "fastjet", "numpy")}
    return {"hepfm": hepfm.__version__, **libraries}
