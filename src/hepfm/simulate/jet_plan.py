"""The plan of a simulation of jets: Pythia 8, a detector, clustering."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import hepfm
from hepfm.core.schema import Schema
from hepfm.simulate import jets
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.pythia import configured
from hepfm.simulate.recipe import SPLITS, Recipe


@dataclass(frozen=True)
class JetPlan:
    """A recipe of jets, carried out; see `hepfm.simulate.plan.Plan`.

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

    def schema(self) -> Schema:
        """Return the schema of the store."""
        return self.recipe.store_schema()

    def chunks(self) -> list[ChunkKey]:
        """Return the chunks, class after class within each split."""
        return [
            ChunkKey(name, split, index, size)
            for split in SPLITS
            for name in self.recipe.class_names
            for index, size in enumerate(_chunk_sizes(self.recipe, name, getattr(self.recipe.jets, split)))
        ]

    def check(self) -> None:
        """Let Pythia read the lines of every class, unstarted; raise `ConfigError` for a bad one."""
        for name in self.recipe.class_names:
            for variant in range(max(1, len(self.recipe.classes[name].variants))):
                configured(self.recipe.lines(name, variant), where=f"class {name}")

    def make(self, key: ChunkKey) -> Chunk:
        """Make a chunk."""
        return jets.make_chunk(self.recipe, key)

    def provenance(self, counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
        """Return what the store says about its making."""
        recipe = self.recipe
        return {
            "source": "simulated with Pythia 8 and FastJet by hepfm",
            "recipe": recipe.model_dump(mode="json"),
            "recipe_fingerprint": recipe.fingerprint(),
            "seed": recipe.seed,
            "detector": recipe.detector_component().spec(),
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


def _chunk_sizes(recipe: Recipe, name: str, jets: int) -> list[int]:
    """Cut a number of jets into chunks; the variants of a class get equally many."""
    variants = max(1, len(recipe.classes[name].variants))
    chunks = variants * -(-jets // (variants * recipe.chunk_jets))
    return [size for size in (jets // chunks + (i < jets % chunks) for i in range(chunks)) if size]


def versions() -> dict[str, str]:
    """Return the versions that jets depend on."""
    libraries = {name: importlib.metadata.version(name) for name in ("pythia8mc", "fastjet", "numpy")}
    return {"hepfm": hepfm.__version__, **libraries}
