"""Showers in CaloChallenge's layout, for its own evaluation script: an HDF5 file."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

import numpy as np

from hepfm.core import config
from hepfm.core.errors import DataError
from hepfm.core.ragged import Columns, lists
from hepfm.core.schema import Schema
from hepfm.data.exporters.sinks import Sink
from hepfm.data.padded import open_hdf5_sink
from hepfm.data.shower_grid import GRID_COLUMNS, grid_of
from hepfm.physics.voxels import load_voxels

_MEV_PER_GEV = 1e3


class CaloChallengeFormat:
    """Converts showers into ``incident_energies`` (N, 1) and ``showers`` (N, cells), both in MeV.

    Hits of the same cell are added up. Hits beyond the outermost ring are left out; a layer that the
    calorimeter does not have is an error.

    Raises
    ------
    DataError
        When the store lacks a field.
    """

    endings: ClassVar = (".hdf5", ".h5")
    chunk_rows: ClassVar = 1000

    class Config(config.Config):
        """Options.

        Attributes
        ----------
        voxels
            The cells: ``dataset_2``, ``dataset_3``, or the path of a binning XML file.
        """

        voxels: str = "dataset_2"

    def __init__(self, config: Config, schema: Schema) -> None:
        self.voxels = load_voxels(config.voxels)
        self.columns = ("incident_energy", *GRID_COLUMNS)
        missing = [name for name in self.columns if name not in schema]
        if missing:
            raise DataError(f"CaloChallenge's layout needs what this store lacks: {', '.join(missing)}")

    def open(self, path: Path, ending: str) -> AbstractContextManager[Sink]:
        """Open a new file."""
        return open_hdf5_sink(path, {})

    def convert(self, columns: Columns) -> Columns:
        """Return the arrays of some showers."""
        known = [layer.number for layer in self.voxels.layers]
        hit_layers = np.unique(lists(columns, "hit_layer").values)
        strange = np.setdiff1d(hit_layers, known)
        if len(strange):
            raise DataError(f"the store has hits in layer {int(strange[0])}, and these cells have no such")
        grid, _ = grid_of(columns, self.voxels)
        incident = np.asarray(columns["incident_energy"], np.float64)[:, None]
        return {
            "incident_energies": (incident * _MEV_PER_GEV).astype(np.float32),
            "showers": (grid * _MEV_PER_GEV).astype(np.float32),
        }
