"""The top-tagging reference set (10.5281/zenodo.2603256): HDF5 as pandas writes it, 200 momenta a jet."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core import config
from hepfm.core.errors import DataError, missing_extra
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Schema
from hepfm.data.readers.base import require, sort_by_pt
from hepfm.data.readers.hdf5 import CHUNK_ROWS, attribute_of, refuse_variable_length
from hepfm.data.readers.physics import constituent_fields, jet_fields
from hepfm.data.schemas.jets import jet_schema

CLASSES = ("QCD", "Tbqq")
"""``is_signal_new`` 0 and 1, by the names of JetClass."""

SLOTS = 200
_LABEL = "is_signal_new"
_MOMENTA = tuple(f"{part}_{slot}" for slot in range(SLOTS) for part in ("E", "PX", "PY", "PZ"))


class TopTaggingReader:
    """Reads ``train.h5``, ``val.h5`` and ``test.h5``; the jet is the sum of its constituents."""

    class Config(config.Config):
        """No options."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def source(self, path: Path) -> dict[str, str]:
        """Return the origin of the published files."""
        return {
            "title": "Top Quark Tagging Reference Dataset",
            "doi": "10.5281/zenodo.2603256",
            "licence": "CC-BY-4.0",
        }

    def schema(self, path: Path) -> Schema:
        """Return the schema: kinematics only, classes QCD and Tbqq."""
        with _PandasTable(path):
            return jet_schema(CLASSES, identity=False, tracks=False, substructure=False)

    def num_rows(self, path: Path) -> int:
        """Return the number of jets of a file."""
        with _PandasTable(path) as table:
            return table.num_rows

    def chunks(self, path: Path) -> Iterator[Columns]:
        """Yield the jets of a file."""
        with _PandasTable(path) as table:
            for start in range(0, table.num_rows, CHUNK_ROWS):
                yield _jets(*table.read(start, start + CHUNK_ROWS))


class _PandasTable:
    """The table of a pandas HDF5 file. Its column names are stored pickled; they are read, never executed."""

    def __init__(self, path: Path) -> None:
        try:
            import h5py
        except ImportError:
            raise missing_extra("h5py", "io") from None
        try:
            self._file = h5py.File(path)
        except OSError as error:
            raise DataError(f"cannot read {path} as HDF5: {error}") from None
        self.path = path
        try:
            self._table = self._file["table/table"]
            self._places = _columns(self._table, path)
        except KeyError:
            self._file.close()
            raise DataError(f"{path} has no data set table/table, as pandas writes it") from None
        require(self._places, [*_MOMENTA, _LABEL], path, what="columns")
        self.num_rows = len(self._table)

    def __enter__(self) -> _PandasTable:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, start: int, stop: int) -> tuple[Array, Array]:
        """Return momenta, shape (rows, 200, 4) as (E, px, py, pz), and labels, shape (rows,)."""
        rows = self._table[start:stop]
        block = self._places[_MOMENTA[0]][0]
        columns = [self._places[name][1] for name in _MOMENTA]
        momenta = rows[block][:, columns].reshape(len(rows), SLOTS, 4)
        label_block, label = self._places[_LABEL]
        return momenta, rows[label_block][:, label]


def _columns(table: Any, path: Path) -> dict[str, tuple[str, int]]:
    """Return block and place of each column, from the names that pandas keeps beside the blocks."""
    refuse_variable_length(table.dtype, "data set table/table", path)
    places = {}
    for block in table.dtype.names:
        for place, name in enumerate(_strings(attribute_of(table, f"{block}_kind", path))):
            places[name] = (block, place)
    return places


def _strings(pickled: bytes | None) -> list[str]:
    if not pickled:
        return []
    return [arg for _, arg, _ in pickletools.genops(bytes(pickled)) if isinstance(arg, str)]


def _jets(momenta: Array, labels: Array) -> dict[str, Array | Ragged]:
    energy, px, py, pz = np.moveaxis(momenta.astype(np.float64), 2, 0)
    real = (momenta != 0).any(axis=2)  # padding is exactly zero
    lengths = real.sum(axis=1)
    return sort_by_pt(
        {
            **jet_fields(*(part.sum(axis=1) for part in (px, py, pz, energy))),
            "jet_label": labels,
            **constituent_fields(px[real], py[real], pz[real], energy[real], lengths=lengths),
        }
    )
