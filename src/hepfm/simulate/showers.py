"""The simulation of parametrised showers: Grindhammer and Peters' profiles in the cells of a calorimeter."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import pydantic

from hepfm.core.config import Config
from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Array, Ragged, concatenate
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Schema
from hepfm.data.schemas.showers import shower_schema
from hepfm.data.shower_grid import hits_of
from hepfm.physics.voxels import Voxels, load_voxels
from hepfm.simulate.chunk import Chunk, ChunkKey
from hepfm.simulate.parametrised_shower import MATERIALS, SamplingCalorimeter, draw_spots, longitudinal
from hepfm.simulate.simulation import SPLITS, Simulation, SimulationRecipe, SplitSizes

_BATCH = 32
"""Showers drawn at once: one of 1 TeV has 46,000 spots."""

Plate = Literal["tungsten", "lead", "iron", "silicon", "liquid_argon"]


class Energies(Config):
    """Incident energies in GeV.

    Attributes
    ----------
    min, max
        Ends of the spectrum.
    spectrum
        ``log_uniform``, as in CaloChallenge's data sets 2 and 3, or ``uniform``.
    """

    min: float = pydantic.Field(default=1.0, gt=0)
    max: float = pydantic.Field(default=1000.0, gt=0)
    spectrum: Literal["log_uniform", "uniform"] = "log_uniform"

    @pydantic.model_validator(mode="after")
    def _check(self) -> Energies:
        if self.max < self.min:
            raise ValueError(f"max {self.max} must not be below min {self.min}")
        return self

    def draw(self, rows: int, rng: np.random.Generator) -> Array:
        """Return energies, shape (rows,)."""
        if self.spectrum == "uniform":
            return rng.uniform(self.min, self.max, rows)
        return np.exp(rng.uniform(np.log(self.min), np.log(self.max), rows))


class ShowerRecipe(SimulationRecipe):
    """A simulation of electron showers along the axis of a sampling calorimeter.

    Attributes
    ----------
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

    kind: Literal["showers"] = "showers"
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


class ShowerSimulation(Simulation):
    """Showers of one particle each, all of the class ``electron``."""

    Config = ShowerRecipe
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "scipy")
    generates_events: ClassVar[bool] = False
    config: ShowerRecipe

    def contents(self) -> dict[str, Any]:
        """Return everything that changes the showers, the cells of a file among them."""
        layers = load_voxels(self.config.voxels).layers
        cells = [[layer.number, layer.edges, layer.num_sectors] for layer in layers]
        return {**super().contents(), "voxels": cells}

    def schema(self, *, weighted: bool = False) -> Schema:
        """Return the schema of the store; showers have no weights."""
        return shower_schema()

    def chunks(self) -> list[ChunkKey]:
        """Return the chunks."""
        full = self.config.chunk_showers
        return [
            ChunkKey("electron", split, index, min(full, rows - index * full))
            for split in SPLITS
            for rows in (self.config.sizes[split],)
            for index in range(-(-rows // full))
        ]

    def check(self) -> None:
        """Raise `ConfigError` for energies or cells that the parametrisation cannot serve."""
        longitudinal(np.array([self.config.energy.min]), self.config.calorimeter())
        numbers = [layer.number for layer in load_voxels(self.config.voxels).layers]
        if numbers != list(range(len(numbers))):
            raise ConfigError(f"layers must be equally thick and numbered from 0, got the numbers {numbers}")

    def make(self, key: ChunkKey) -> Chunk:
        """Make a chunk."""
        started = time.process_time()
        rng = numpy_generator(self.seed, f"simulate showers {key.split}", key.index)
        voxels = load_voxels(self.config.voxels)
        energy = self.config.energy.draw(key.rows, rng)
        parts = [
            shower_columns(energy[start : start + _BATCH], self.config, voxels, rng)
            for start in range(0, len(energy), _BATCH)
        ]
        return Chunk(concatenate(parts), key.rows, key.rows, 0.0, time.process_time() - started)

    def provenance(self, counts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return what the store says about its making."""
        return {
            "source": "parametrised electron showers (Grindhammer and Peters, hep-ex/0001020) by hepfm",
            "particle_transport": "none: neither Geant4 nor any other",
            **super().provenance(counts),
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
