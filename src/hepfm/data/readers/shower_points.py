"""Photon showers in the calorimeter of ILD as points: the layouts of CaloClouds and of OmniJet-alpha_C."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from hepfm.core import config
from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Schema
from hepfm.data.readers.base import sort_falling
from hepfm.data.remote import DataFile
from hepfm.data.schemas.showers import shower_schema
from hepfm.data.tables.hdf5_arrays import CHUNK_ROWS, array_of, open_hdf5, same_rows

_CELL_MM = 5.0
"""Width of a cell of the regular grid."""
_MIDDLE = 14.5
"""Middle of its 30 cells."""
_GEV_PER_MEV = 1e-3


class ShowerPointsReader(ABC):
    """Reads padded points; where the padding stands does not matter, its energy is 0."""

    endings: ClassVar = (".hdf5", ".h5")
    points: ClassVar[str]
    incident: ClassVar[str]
    shape: ClassVar[str]
    title: ClassVar[str]
    doi: ClassVar[str] = "see the record"

    class Config(config.Config):
        """There are no options."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @abstractmethod
    def fields(self, points: Array) -> tuple[Array, Array, Array, Array]:
        """Return x and y in mm, layer and energy in GeV, shape (R, N) each."""

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the origin of the published files."""
        return {"title": self.title, "doi": self.doi, "licence": "see the record"}

    def schema(self, path: DataFile) -> Schema:
        """Return the schema of showers."""
        self.num_rows(path)
        return shower_schema()

    def num_rows(self, path: DataFile) -> int:
        """Return the number of showers of a file."""
        with open_hdf5(path) as file:
            arrays = {
                self.points: array_of(file, self.points, path, shape=self.shape),
                self.incident: array_of(file, self.incident, path, shape="N 1"),
            }
            return same_rows(path, **arrays)

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the showers of a file."""
        with open_hdf5(path) as file:
            for start in range(0, len(file[self.points]), CHUNK_ROWS):
                rows = slice(start, start + CHUNK_ROWS)
                parts = [np.asarray(file[name][rows], np.float64) for name in (self.points, self.incident)]
                yield self._showers(parts[0], parts[1][:, 0], where=f"{path}, rows from {start}")

    def _showers(self, points: Array, incident: Array, *, where: str) -> dict[str, Any]:
        if not np.isfinite(points).all():
            raise DataError(f"{where}: a point is not finite")
        if not (np.isfinite(incident) & (incident > 0)).all():
            raise DataError(f"{where}: an incident energy is not above 0")
        x, y, layer, energy = self.fields(points)
        if (energy < 0).any():
            raise DataError(f"{where}: a point's energy is negative")
        real = energy > 0
        if real.any() and not 0 <= layer[real].min() <= layer[real].max() < np.iinfo(np.int16).max:
            raise DataError(f"{where}: layers from {layer[real].min():g} to {layer[real].max():g}")
        lengths = real.sum(axis=1)
        columns = {"hit_energy": energy, "hit_x": x, "hit_y": y, "hit_layer": np.floor(layer)}
        types = {"hit_layer": np.int16}
        total = np.where(real, energy, 0.0).sum(axis=1)
        return sort_falling(
            {
                "incident_energy": incident.astype(np.float32),
                "shower_energy": total.astype(np.float32),
                **{
                    name: Ragged.from_lengths(values[real].astype(types.get(name, np.float32)), lengths)
                    for name, values in columns.items()
                },
            },
            "hit_energy",
        )


class CaloCloudsReader(ShowerPointsReader):
    """Reads CaloClouds' ``events`` (N, 4, points): x, layer, z across the shower, energy; ``energy`` (N, 1).

    x and z are in mm and become ``hit_x`` and ``hit_y``; energies are in GeV (2305.04847, 2309.05704).
    """

    points = "events"
    incident = "energy"
    shape = "N 4 M"
    title = "CaloClouds: photon showers in ILD, 10 to 90 GeV"

    def fields(self, points: Array) -> tuple[Array, Array, Array, Array]:
        """Return x and y in mm, layer and energy in GeV."""
        x, layer, z, energy = np.moveaxis(points, 1, 0)
        return x, z, layer, energy


class GettingHighReader(ShowerPointsReader):
    """Reads ``showers`` (N, points, 4): numbers of cells across and of the layer, energy; ``genE`` (N, 1).

    The regular grid of 30 x 30 cells and 30 layers (2005.05334) as points, as OmniJet-alpha_C reads it
    (2501.05534). Cells of 5 mm are counted from 0, hits are taken to be in MeV, incident energies in GeV.
    """

    points = "showers"
    incident = "genE"
    shape = "N M 4"
    title = "Getting High: photon showers in ILD, 10 to 100 GeV, as points"
    doi = "10.5281/zenodo.3826103"

    def fields(self, points: Array) -> tuple[Array, Array, Array, Array]:
        """Return x and y in mm, layer and energy in GeV."""
        x, y, layer, energy = np.moveaxis(points, 2, 0)
        return (x - _MIDDLE) * _CELL_MM, (y - _MIDDLE) * _CELL_MM, layer, energy * _GEV_PER_MEV
