"""JetClass (10.5281/zenodo.6619768, ROOT) and JetClass-II (2405.12972, Parquet).

``part_deta`` of the files carries the sign of ``jet_eta``. Momenta do not, so pseudorapidity and azimuth are
taken from ``part_px, part_py, part_pz``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np

from hepfm.core import config
from hepfm.core.errors import DataError, did_you_mean
from hepfm.core.log import logger
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Schema
from hepfm.data.readers.base import momentum_fields, require, row_weights, sort_by_pt
from hepfm.data.remote import DataFile
from hepfm.data.schemas.jetclass2 import JETCLASS2_CLASSES
from hepfm.data.schemas.jets import JET_WEIGHT, JETCLASS_CLASSES, jet_schema
from hepfm.data.tables.base import FileTable, as_column
from hepfm.data.tables.open import open_table

FLAGS = (
    "part_isChargedHadron",
    "part_isNeutralHadron",
    "part_isPhoton",
    "part_isElectron",
    "part_isMuon",
)
"""Type flags, in the order of `hepfm.data.schemas.jets.PID_CLASSES`."""

LABELS = tuple(f"label_{name}" for name in JETCLASS_CLASSES)

_MOMENTA = ("part_px", "part_py", "part_pz")
_NEEDED = ("part_energy", "part_charge", "jet_pt", "jet_eta", "jet_phi", "jet_energy")
OPTIONAL = {
    "part_d0": "part_d0val",
    "part_d0_error": "part_d0err",
    "part_dz": "part_dzval",
    "part_dz_error": "part_dzerr",
    "jet_softdrop_mass": "jet_sdmass",
    **{f"jet_tau{n}": f"jet_tau{n}" for n in (1, 2, 3, 4)},
}
"""Fields that a file may lack, with their branches."""
COPIED = {**{name: name for name in _NEEDED}, **OPTIONAL}
"""Field of a store -> branch of JetClass."""


class JetClassReader:
    """Reads files with JetClass's branches; without labels they make an unlabelled store.

    Impact parameters, soft-drop mass and N-subjettiness may be absent: the store then lacks these fields.
    """

    endings: ClassVar = (".root", ".parquet")

    class Config(config.Config):
        """Options.

        Attributes
        ----------
        weight
            Branch of the event weight. The published files have none.
        tree
            Which tree of a ROOT file, where there are several.
        """

        weight: str | None = None
        tree: str | None = None

    def __init__(self, config: Config) -> None:
        self.config = config
        self._said: dict[str, str] = {}

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the origin of the published files."""
        return {
            "title": "JetClass or JetClass-II",
            "doi": "10.5281/zenodo.6619768",
            "paper": "2202.03772, 2405.12972",
        }

    def schema(self, path: DataFile) -> Schema:
        """Return the schema of a file: its classes are JetClass's, JetClass-II's or none."""
        with self._open(path) as table:
            schema = jet_schema(_classes(table), weight=self.config.weight is not None)
            absent = {field: branch for field, branch in OPTIONAL.items() if branch not in table.names}
        if absent and absent != self._said:  # once for all files of a kind
            logger.warning(
                "%s has no %s: the store is without %s", path, ", ".join(absent.values()), ", ".join(absent)
            )
        self._said = absent
        return schema.having(name for name in schema.names() if name not in absent)

    def num_rows(self, path: DataFile) -> int:
        """Return the number of jets of a file."""
        with self._open(path) as table:
            return table.num_rows(_MOMENTA)

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the jets of a file."""
        weight = self.config.weight
        with self._open(path) as table:
            classes = _classes(table)
            labels = () if not classes else LABELS if classes == JETCLASS_CLASSES else ("jet_label",)
            copied = {field: branch for field, branch in COPIED.items() if branch in table.names}
            names = [*_MOMENTA, *copied.values(), *FLAGS, *labels, *([weight] if weight else [])]
            for piece in table.chunks(names):
                columns = {name: as_column(array, name, path) for name, array in piece.items()}
                jets = _jets(columns, copied, labels, path)
                if weight:
                    jets[JET_WEIGHT.name] = row_weights(columns[weight], weight, path)
                yield jets

    def _open(self, path: DataFile) -> FileTable:
        table = open_table(path, self.config.tree)
        require(table.names, [*_MOMENTA, *_NEEDED, *FLAGS], path, what="JetClass branches")
        if self.config.weight is not None and self.config.weight not in table.names:
            raise DataError(
                f"{path} has no branch {self.config.weight!r} for the option weight"
                f"{did_you_mean(self.config.weight, table.names)}"
            )
        return table


def _classes(table: FileTable) -> tuple[str, ...]:
    if "jet_label" in table.names:
        return JETCLASS2_CLASSES
    found = [name for name in LABELS if name in table.names]
    if found:
        require(table.names, LABELS, table.path, what="JetClass labels")
    return JETCLASS_CLASSES if found else ()


def _jets(
    columns: Columns, copied: Mapping[str, str], labels: tuple[str, ...], path: DataFile
) -> dict[str, Array | Ragged]:
    px, py, pz = (_lists(columns, name) for name in _MOMENTA)
    pt, eta, phi = momentum_fields(px.values, py.values, pz.values)
    jets = {name: _float32(columns[branch]) for name, branch in copied.items()}
    jets |= {"part_pt": px.with_values(pt), "part_eta": px.with_values(eta), "part_phi": px.with_values(phi)}
    flags = np.stack([*(_lists(columns, name).values != 0 for name in FLAGS), np.ones(len(pt), bool)])
    jets["part_pid"] = px.with_values(flags.argmax(axis=0).astype(np.int8))
    if labels:
        jets["jet_label"] = _label(columns, labels, path)
    return sort_by_pt(jets)


def _label(columns: Columns, labels: tuple[str, ...], path: DataFile) -> Array:
    if labels == ("jet_label",):
        return np.asarray(columns["jet_label"])
    flags = np.stack([np.asarray(columns[name]) != 0 for name in labels])
    if (flags.sum(axis=0) != 1).any():
        row = int(np.argmax(flags.sum(axis=0) != 1))
        raise DataError(f"{path}: jet {row} of its piece has {int(flags[:, row].sum())} labels, expected one")
    return flags.argmax(axis=0).astype(np.int16)


def _lists(columns: Columns, name: str) -> Ragged:
    column = columns[name]
    if not isinstance(column, Ragged):
        raise DataError(f"branch {name!r} must hold a list per jet")
    return column


def _float32(column: Array | Ragged) -> Array | Ragged:
    if isinstance(column, Ragged):
        return column.with_values(column.values.astype(np.float32))
    return column.astype(np.float32)
