"""The top-tagging reference set (10.5281/zenodo.2603256): HDF5 as pandas writes it, 200 momenta a jet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from hepfm.core import config
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Schema
from hepfm.data.readers.base import require, sort_by_pt
from hepfm.data.readers.physics import constituent_fields, jet_fields
from hepfm.data.remote import DataFile
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.tables.base import FileTable
from hepfm.data.tables.open import open_table

CLASSES = ("QCD", "Tbqq")
"""``is_signal_new`` 0 and 1, by the names of JetClass."""

SLOTS = 200
_PIECE_ROWS = 10_000
_LABEL = "is_signal_new"
_MOMENTA = tuple(f"{part}_{slot}" for slot in range(SLOTS) for part in ("E", "PX", "PY", "PZ"))


class TopTaggingReader:
    """Reads ``train.h5``, ``val.h5`` and ``test.h5``; the jet is the sum of its constituents."""

    endings: ClassVar = (".h5", ".hdf5")

    class Config(config.Config):
        """No options."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the origin of the published files."""
        return {
            "title": "Top Quark Tagging Reference Dataset",
            "doi": "10.5281/zenodo.2603256",
            "licence": "CC-BY-4.0",
        }

    def schema(self, path: DataFile) -> Schema:
        """Return the schema: kinematics only, classes QCD and Tbqq."""
        with _open(path):
            return jet_schema(CLASSES, identity=False, tracks=False, substructure=False)

    def num_rows(self, path: DataFile) -> int:
        """Return the number of jets of a file."""
        with _open(path) as table:
            return table.num_rows([_LABEL])

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the jets of a file."""
        with _open(path) as table:
            # A piece of 800 columns is larger than those of other formats.
            labels = table.chunks([_LABEL], _PIECE_ROWS)
            for momenta, piece in zip(table.matrices(_MOMENTA, _PIECE_ROWS), labels, strict=True):
                yield _jets(momenta.reshape(-1, SLOTS, 4), np.asarray(piece[_LABEL]))


def _open(path: DataFile) -> FileTable:
    table = open_table(path)
    require(table.names, [*_MOMENTA, _LABEL], path, what="columns")
    return table


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
