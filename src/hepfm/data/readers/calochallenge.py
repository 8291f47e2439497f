"""CaloChallenge's layout (2410.21611): incident energies and the energies of all cells, HDF5."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pydantic

from hepfm.core import config
from hepfm.core.errors import DataError
from hepfm.core.ragged import Columns
from hepfm.core.schema import Schema
from hepfm.data.remote import DataFile
from hepfm.data.schemas.showers import shower_schema
from hepfm.data.shower_grid import hits_of
from hepfm.data.tables.hdf5_arrays import array_of, open_hdf5, same_rows
from hepfm.physics.voxels import load_voxels

CHUNK_ROWS = 1000
"""A thousand showers of data set 3 are 320 MB in double precision."""

_GEV_PER_MEV = 1e-3
_DOI = {"dataset_2": "10.5281/zenodo.6366270", "dataset_3": "10.5281/zenodo.6366323"}


class CaloChallengeReader:
    """Reads ``dataset_*.hdf5``: ``incident_energies`` (N, 1) and ``showers`` (N, cells), both in MeV.

    A hit is a cell at or above the threshold; it lies at the centre of its cell. Energies become GeV.
    """

    endings: ClassVar = (".hdf5", ".h5")

    class Config(config.Config):
        """Options.

        Attributes
        ----------
        voxels
            The cells: ``dataset_2``, ``dataset_3``, or the path of a binning XML file, as data set 1 needs.
        threshold_kev
            Cells below are empty: 15.15 keV in data sets 2 and 3; the evaluation of data set 1 takes 1000.
        """

        voxels: str = "dataset_2"
        threshold_kev: float = pydantic.Field(default=15.15, ge=0)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.voxels = load_voxels(config.voxels)

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the origin of the published files."""
        doi = _DOI.get(self.config.voxels, "see the record")
        return {"title": "CaloChallenge 2022", "doi": doi, "licence": "see the record"}

    def schema(self, path: DataFile) -> Schema:
        """Return the schema of showers."""
        self.num_rows(path)
        return shower_schema()

    def num_rows(self, path: DataFile) -> int:
        """Return the number of showers of a file."""
        with open_hdf5(path) as file:
            return same_rows(
                path,
                incident_energies=array_of(file, "incident_energies", path, shape="N 1"),
                showers=array_of(file, "showers", path, shape=f"N {len(self.voxels)}"),
            )

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the showers of a file."""
        with open_hdf5(path) as file:
            for start in range(0, len(file["showers"]), CHUNK_ROWS):
                rows = slice(start, start + CHUNK_ROWS)
                grid = file["showers"][rows].astype(np.float64) * _GEV_PER_MEV
                incident = file["incident_energies"][rows, 0].astype(np.float64) * _GEV_PER_MEV
                where = f"{path}, rows from {start}"
                if not np.isfinite(grid).all() or (grid < 0).any():
                    raise DataError(f"{where}: a cell's energy is negative or not finite")
                if not (incident > 0).all():
                    raise DataError(f"{where}: an incident energy is not above 0")
                yield hits_of(grid, incident, self.voxels, threshold=self.config.threshold_kev * 1e-6)
