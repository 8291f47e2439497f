"""The plan of parametrised showers: Grindhammer and Peters' profiles in the cells of a calorimeter."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pydantic

import hepfm
from hepfm.core.config import Config, fingerprint
from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Array, Ragged, concatenate
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Schema
from hepfm.data.schemas.showers import shower_schema
from hepfm.data.shower_grid import hits_of
from hepfm.physics.voxels import Voxels, load_voxels
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.parametrised_shower import MATERIALS, SamplingCalorimeter, draw_spots, longitudinal
from hepfm.simulate.recipe import SPLITS, SplitSizes

_BATCH = 32
"""Showers drawn at once: one of 1 TeV has 46,000 spots."""

Plate = Literal["tungsten", "lead", "iron", "silicon", "liquid_argon"]


class Energies(Config):
    """Incident energies in GeV.

    Attributes
    ----------
    least, most
        Ends of the spectrum.
    spectrum
        ``log_uniform``, as in CaloChallenge's data sets 2 and 3, or ``uniform``.
    """

    least: float = pydantic.Field(default=1.0, gt=0)
    most: float = pydantic.Field(default=1000.0, gt=0)
    spectrum: Literal["log_uniform", "uniform"] = "log_uniform"

    @pydantic.model_validator(mode="after")
    def _check(self) -> Energies:
        if self.most < self.least:
            raise ValueError(f"most {self.most} must not be below least {self.least}")
        return self

    def draw(self, number: int, rng: np.random.Generator) -> Array:
        """Return energies, shape (number,)."""
        if self.spectrum == "uniform":
            return rng.uniform(self.least, self.most, number)
        return np.exp(rng.uniform(np.log(self.least), np.log(self.most), number))


class ShowerRecipe(Config):
    """A simulation of electron showers along the axis of a sampling calorimeter.

    Attributes
    ----------
    description
        One line.
    seed
        Seed of everything.
    showers
        Showers of each split.
    energy
        Incident energies.
    voxels
        Cells: ``dataset_2`` or ``dataset_3`` of CaloChallenge, or the path of a binning XML file.
    layer_mm
        Thickness of a layer of cells, which may hold several plates.
    absorber, active, absorber_mm, active_mm
        The plates.
    resolution
        c of sigma / E = c / sqrt(E / GeV), the sampling fluctuations of all layers together.
    threshold_kev
        Cells below are empty.
    chunk_showers
        Showers of one unit of work: it has its own seed, and is what a stopped run may lose.
    """

    description: str = ""
    seed: int = pydantic.Field(default=0, ge=0)
    showers: SplitSizes
    energy: Energies = Energies()
    voxels: str = "dataset_2"
    layer_mm: float = pydantic.Field(default=3.4, gt=0)
    absorber: Plate = "tungsten"
    active: Plate = "silicon"
    absorber_mm: float = pydantic.Field(default=1.4, gt=0)
    active_mm: float = pydantic.Field(default=0.3, gt=0)
    resolution: float = pydantic.Field(default=0.17, gt=0)
    threshold_kev: float = pydantic.Field(default=15.15, ge=0)
    chunk_showers: int = pydantic.Field(default=500, gt=0)

    def calorimeter(self) -> SamplingCalorimeter:
        """Return the medium."""
        absorber, active = MATERIALS[self.absorber], MATERIALS[self.active]
        return SamplingCalorimeter(absorber, active, self.absorber_mm, self.active_mm, self.resolution)


@dataclass(frozen=True)
class ShowerPlan:
    """A recipe of showers, carried out; see `hepfm.simulate.plan.SimulationPlan`.

    Attributes
    ----------
    recipe
        The recipe.
    """

    recipe: ShowerRecipe
    rows: ClassVar[str] = "showers"

    @property
    def seed(self) -> int:
        """Seed of everything."""
        return self.recipe.seed

    def fingerprint(self) -> str:
        """Return a hash of everything that changes the showers, the cells of a file among them."""
        values = self.recipe.model_dump(mode="json", exclude={"description"})
        layers = [[one.number, one.edges, one.num_sectors] for one in load_voxels(self.recipe.voxels).layers]
        return fingerprint({**values, "voxels": layers})

    def versions(self) -> dict[str, str]:
        """Return the versions that the showers depend on."""
        libraries = {name: importlib.metadata.version(name) for name in ("numpy", "scipy")}
        return {"hepfm": hepfm.__version__, **libraries}

    def schema(self, *, weighted: bool = False) -> Schema:
        """Return the schema of the store; showers have no weights."""
        return shower_schema()

    def variant(self, key: ChunkKey) -> int:
        """Return 0: all showers are made alike."""
        return 0

    def chunks(self) -> list[ChunkKey]:
        """Return the chunks."""
        return [
            ChunkKey("electron", split, index, min(most, number - index * most))
            for most in (self.recipe.chunk_showers,)
            for split in SPLITS
            for number in (getattr(self.recipe.showers, split),)
            for index in range(-(-number // most))
        ]

    def check(self) -> None:
        """Raise `ConfigError` for energies or cells that the parametrisation cannot serve."""
        longitudinal(np.array([self.recipe.energy.least]), self.recipe.calorimeter())
        numbers = [layer.number for layer in load_voxels(self.recipe.voxels).layers]
        if numbers != list(range(len(numbers))):
            raise ConfigError(f"layers must be equally thick and numbered from 0, got the numbers {numbers}")

    def make(self, key: ChunkKey) -> Chunk:
        """Make a chunk."""
        started = time.process_time()
        rng = numpy_generator(self.recipe.seed, f"simulate showers {key.split}", key.index)
        voxels = load_voxels(self.recipe.voxels)
        energy = self.recipe.energy.draw(key.rows, rng)
        parts = [
            shower_columns(energy[start : start + _BATCH], self.recipe, voxels, rng)
            for start in range(0, len(energy), _BATCH)
        ]
        return Chunk(concatenate(parts), key.rows, key.rows, 0.0, time.process_time() - started)

    def provenance(self, counts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return what the store says about its making."""
        return {
            "source": "parametrised electron showers (Grindhammer and Peters, hep-ex/0001020) by hepfm",
            "particle_transport": "none: neither Geant4 nor any other",
            "recipe": self.recipe.model_dump(mode="json"),
            "recipe_fingerprint": self.fingerprint(),
            "seed": self.recipe.seed,
            "versions": self.versions(),
            "classes": {name: dict(row) for name, row in counts.items()},
        }


def shower_columns(
    energy: Array, recipe: ShowerRecipe, voxels: Voxels, rng: np.random.Generator
) -> dict[str, Array | Ragged]:
    """Return the columns of one shower for each incident energy (GeV), hits in falling order of energy."""
    spots = draw_spots(
        energy,
        recipe.calorimeter(),
        num_layers=voxels.num_layers,
        layer_mm=recipe.layer_mm,
        rng=rng,
    )
    cell = voxels.cells(spots.layer, spots.x, spots.y)
    inside = cell >= 0
    number = len(voxels)
    grid_RV = np.bincount(
        spots.shower[inside] * number + cell[inside], spots.energy[inside], minlength=len(energy) * number
    ).reshape(-1, number)
    return hits_of(grid_RV, energy, voxels, threshold=recipe.threshold_kev * 1e-6)
