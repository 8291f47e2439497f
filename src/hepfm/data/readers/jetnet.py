"""JetNet (2106.11535): HDF5, one file per class, constituents relative to a jet of known pt, eta and mass."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from hepfm.core import config
from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Schema
from hepfm.data.readers.base import sort_by_pt
from hepfm.data.remote import DataFile
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.tables.hdf5_arrays import CHUNK_ROWS, array_of, open_hdf5, same_rows
from hepfm.physics.kinematics import energy_of, wrap_phi

CLASSES = ("g", "q", "t", "w", "z")
"""Jets of gluons, light quarks, top quarks, W and Z bosons, in the order of the jetnet package."""

RECORDS = {30: "10.5281/zenodo.6975118", 150: "10.5281/zenodo.6975117"}
"""DOI of the published files by their number of constituents."""

_NAME = re.compile(rf"([{''.join(CLASSES)}])(?:30|150)?\.(?:hdf5|h5)")


class JetNetReader:
    """Reads ``g.hdf5`` ... ``z150.hdf5``; the class is that of the file's name.

    The files do not tell the azimuth of a jet: it is put at 0. Constituents are massless.
    """

    endings: ClassVar = (".hdf5", ".h5")

    class Config(config.Config):
        """Options.

        Attributes
        ----------
        jet_class
            Class of all jets of the files: one of g, q, t, w, z. By default the file's name tells.
        """

        jet_class: str | None = None

    def __init__(self, config: Config) -> None:
        self.config = config

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the origin of the published file of this size."""
        with open_hdf5(path) as file:
            size = array_of(file, "particle_features", path, shape="N M 4").shape[1]
        if size not in RECORDS:
            return {"title": f"JetNet's layout with {size} constituents", "paper": "2106.11535"}
        return {
            "title": f"JetNet{size}",
            "doi": RECORDS[size],
            "paper": "2106.11535",
            "licence": "CC-BY-4.0",
        }

    def schema(self, path: DataFile) -> Schema:
        """Return the schema: kinematics only, all five classes."""
        self._label(path)
        self.num_rows(path)
        return jet_schema(CLASSES, identity=False, tracks=False, substructure=False)

    def num_rows(self, path: DataFile) -> int:
        """Return the number of jets of a file."""
        with open_hdf5(path) as file:
            return same_rows(
                path,
                particle_features=array_of(file, "particle_features", path, shape="N M 4"),
                jet_features=array_of(file, "jet_features", path, shape="N 4"),
            )

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the jets of a file."""
        label = self._label(path)
        with open_hdf5(path) as file:
            particles, jets = file["particle_features"], file["jet_features"]
            for start in range(0, len(jets), CHUNK_ROWS):
                rows = slice(start, start + CHUNK_ROWS)
                yield _jets(particles[rows], jets[rows], label, f"{path}, rows from {start}")

    def _label(self, path: DataFile) -> int:
        name = _NAME.fullmatch(path.name)
        found = self.config.jet_class or (name.group(1) if name else "")
        if found not in CLASSES:
            raise DataError(
                f"cannot tell the class of {path}: its name should be one of g, q, t, w, z, then 150 or "
                "nothing, then .hdf5; or say it with --set jet_class=g"
            )
        return CLASSES.index(found)


def _jets(particles: Array, jets: Array, label: int, where: str) -> dict[str, Array | Ragged]:
    particles, jets = particles.astype(np.float64), jets.astype(np.float64)
    if not np.isin(particles[..., 3], (0, 1)).all():
        raise DataError(f"{where}: the fourth feature of a constituent, its mask, must be 0 or 1")
    real = particles[..., 3] == 1
    pt, eta, mass, _ = jets.T
    lengths = real.sum(axis=1)
    eta_rel, phi_rel, pt_rel, _ = particles[real].T
    part_pt, part_eta = pt_rel * np.repeat(pt, lengths), eta_rel + np.repeat(eta, lengths)
    lists = {
        "part_pt": part_pt,
        "part_eta": part_eta,
        "part_phi": wrap_phi(phi_rel),
        "part_energy": part_pt * np.cosh(part_eta),
    }
    rows = {
        "jet_pt": pt,
        "jet_eta": eta,
        "jet_phi": np.zeros(len(pt)),
        "jet_energy": energy_of(pt, eta, mass),
    }
    return sort_by_pt(
        {
            **{name: values.astype(np.float32) for name, values in rows.items()},
            "jet_label": np.full(len(pt), label, np.int16),
            **{
                name: Ragged.from_lengths(values.astype(np.float32), lengths)
                for name, values in lists.items()
            },
        }
    )
