"""Aspen Open Jets (10.25592/uhhfdm.16505): unlabelled jets of CMS open data, HDF5."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from hepfm.core import config
from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Field, Level, Schema
from hepfm.data.readers.base import sort_by_pt
from hepfm.data.readers.cms import JET_AXIS_FIELDS, cms_impact_parameters
from hepfm.data.readers.event_files import EVENT_FIELDS
from hepfm.data.readers.physics import constituent_fields, jet_fields, particle_types
from hepfm.data.remote import DataFile
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.tables.hdf5_arrays import CHUNK_ROWS, array_of, open_hdf5, same_rows

CMS_FIELDS = (
    *JET_AXIS_FIELDS,
    Field("cms_softdrop_mass", Level.OBJECT, unit="GeV", description="soft-drop mass as CMS gives it"),
)


class AspenReader:
    """Reads ``RunG_batchN.h5`` and ``RunH_batchN.h5``: AK8 jets of 2016, up to 150 candidates each.

    The jet is the sum of its constituents; CMS's own jet, of candidates with PUPPI weights, stands in the
    fields ``cms_*``. Impact parameters are CMS's, turned from cm to mm and to JetClass's sign (see
    `cms_impact_parameters`); those of neutral candidates (-1 in the files) and those that are not finite
    become 0. Candidates whose type is none of the five known, e.g. those of the forward calorimeter, are
    ``other``. The files were cut to 150 candidates before they were sorted, so that of the few larger jets
    hard candidates may be missing.
    """

    endings: ClassVar = (".h5", ".hdf5")

    class Config(config.Config):
        """Options.

        Attributes
        ----------
        puppi
            Multiply the candidates' four-momenta by their PUPPI weights (1407.6013), and drop those of weight
            0. Without it all candidates stay as they were measured.
        """

        puppi: bool = False

    def __init__(self, config: Config) -> None:
        self.config = config

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the origin of the published files."""
        return {
            "title": "Aspen Open Jets",
            "doi": "10.25592/uhhfdm.16505",
            "licence": "see the record",
        }

    def schema(self, path: DataFile) -> Schema:
        """Return the schema: all constituent fields, no label."""
        self.num_rows(path)
        return jet_schema(substructure=False, extra=(*CMS_FIELDS, *EVENT_FIELDS))

    def num_rows(self, path: DataFile) -> int:
        """Return the number of jets of a file."""
        with open_hdf5(path) as file:
            return same_rows(
                path,
                PFCands=array_of(file, "PFCands", path, shape="N M 11"),
                jet_kinematics=array_of(file, "jet_kinematics", path, shape="N 4"),
                event_info=array_of(file, "event_info", path, shape="N 3"),
            )

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the jets of a file."""
        with open_hdf5(path) as file:
            for start in range(0, len(file["PFCands"]), CHUNK_ROWS):
                rows = slice(start, start + CHUNK_ROWS)
                parts = [file[name][rows] for name in ("PFCands", "jet_kinematics", "event_info")]
                yield self._jets(*parts, where=f"{path}, rows from {start}")

    def _jets(self, candidates: Array, kinematics: Array, event: Array, *, where: str) -> dict[str, Any]:
        candidates = candidates.astype(np.float64)
        momenta, weight = candidates[..., :4], candidates[..., 10]
        real = (momenta != 0).any(axis=-1)  # padding is exactly zero
        if not np.isfinite(momenta).all():
            raise DataError(f"{where}: a candidate's momentum is not finite")
        if self.config.puppi:
            if not ((weight >= 0) & (weight <= 1)).all():
                raise DataError(f"{where}: PUPPI weights must lie in [0, 1]")
            momenta, real = momenta * weight[..., None], real & (weight > 0)
        lengths = real.sum(axis=1)
        total = np.where(real[..., None], momenta, 0.0).sum(axis=1)
        charge = np.rint(candidates[..., 8][real])
        tracks = candidates[..., 4:8][real].T
        lists = {
            "part_charge": charge.astype(np.float32),
            "part_pid": particle_types(candidates[..., 9][real]),
            **cms_impact_parameters(*tracks, charged=charge != 0),
        }
        names = [field.name for field in CMS_FIELDS]
        return sort_by_pt(
            {
                **jet_fields(*total.T),
                **dict(zip(names, kinematics.astype(np.float32).T, strict=True)),
                **dict(zip((field.name for field in EVENT_FIELDS), event.astype(np.int64).T, strict=True)),
                **constituent_fields(*momenta[real].T, lengths=lengths),
                **{name: Ragged.from_lengths(values, lengths) for name, values in lists.items()},
            }
        )
