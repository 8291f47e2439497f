"""JetNet's own layout (2106.11535, 10.5281/zenodo.6975118): a folder with one HDF5 file per class."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path, PurePath
from typing import ClassVar, Literal

import numpy as np

from hepfm.core import config
from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged, lists
from hepfm.core.schema import Schema
from hepfm.data.context import jet_mass
from hepfm.data.exporters.sinks import Sink
from hepfm.data.features import JET_COLUMNS
from hepfm.data.padded import Hdf5Sink, open_hdf5_sink, padded

_LABEL = "class"
_TWO_PI = 2 * np.pi


class JetNetFormat:
    """Converts jets into ``particle_features`` (eta_rel, phi_rel, pt_rel, mask) and ``jet_features``.

    The files are called after the classes: ``g.hdf5``, or ``g150.hdf5`` with 150 constituents. Energies and
    the azimuth of the jet are not in this layout.

    Raises
    ------
    DataError
        When the store lacks a field.
    """

    endings: ClassVar = ()
    chunk_rows: ClassVar = 20_000

    class Config(config.Config):
        """Options.

        Attributes
        ----------
        num_particles
            Slots of a jet, 30 or 150; of longer jets the hardest constituents are kept.
        """

        num_particles: Literal[30, 150] = 150

    def __init__(self, config: Config, schema: Schema) -> None:
        self.config = config
        needed = (*JET_COLUMNS, "part_pt", "part_eta", "part_phi")
        missing = [name for name in needed if name not in schema]
        if missing or not schema.label_classes:
            raise DataError(f"JetNet's layout needs what this store lacks: {', '.join(missing) or 'classes'}")
        self._label, self._classes = str(schema.label), schema.label_classes
        strange = [name for name in self._classes if PurePath(name).name != name]
        if strange:
            raise DataError(f"the class {strange[0]!r} cannot be the name of a file; rename it in the store")
        self.columns = (*needed, self._label)

    def open(self, path: Path, ending: str) -> AbstractContextManager[Sink]:
        """Make the folder; a file appears in it for each class that has jets."""
        suffix = "150" if self.config.num_particles == 150 else ""
        path.mkdir()
        return _folder({number: path / f"{name}{suffix}.hdf5" for number, name in enumerate(self._classes)})

    def convert(self, columns: Columns) -> dict[str, Array | Ragged]:
        """Return the two arrays of some jets, and the number of their class."""
        pt, eta, phi, energy = (np.asarray(columns[name], np.float64) for name in JET_COLUMNS)
        part_pt = lists(columns, "part_pt")
        row = part_pt.row_index()
        dphi = lists(columns, "part_phi").values - phi[row]
        relative = {
            "eta_rel": lists(columns, "part_eta").values - eta[row],
            "phi_rel": dphi - _TWO_PI * np.rint(dphi / _TWO_PI),
            "pt_rel": part_pt.values / pt[row],
            "mask": np.ones(len(row)),
        }
        particles, count = padded(
            {name: part_pt.with_values(values) for name, values in relative.items()},
            self.config.num_particles,
        )
        jets = np.stack([pt, eta, jet_mass(pt, eta, energy), count], axis=1).astype(np.float32)
        return {
            "particle_features": particles,
            "jet_features": jets,
            _LABEL: np.asarray(columns[self._label]),
        }


class _Folder:
    """The files of all classes."""

    def __init__(self, paths: dict[int, Path], stack: ExitStack) -> None:
        self._paths, self._stack = paths, stack
        self._sinks: dict[int, Hdf5Sink] = {}

    def write(self, columns: Columns) -> None:
        label = np.asarray(columns[_LABEL])
        for number in np.unique(label).tolist():
            if number not in self._sinks:
                self._sinks[number] = self._stack.enter_context(open_hdf5_sink(self._paths[number], {}))
            rows = label == number
            arrays = {name: np.asarray(array)[rows] for name, array in columns.items() if name != _LABEL}
            self._sinks[number].write(arrays)


@contextmanager
def _folder(paths: dict[int, Path]) -> Iterator[_Folder]:
    with ExitStack() as stack:
        yield _Folder(paths, stack)
