"""OmniLearned's HDF5 layout (2510.24066, public package): features of constituents, padded with zeros.

The files name neither columns nor classes. Those that `hepfm data export` wrote do, in attributes; of others
`columns`, `classes` and the like must be given: nothing is guessed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from hepfm.core import config
from hepfm.core.errors import ConfigError, DataError, did_you_mean
from hepfm.core.ragged import Array, Columns
from hepfm.core.schema import Schema
from hepfm.data.feature_names import DISPLACEMENT, FLAGS, KINEMATICS
from hepfm.data.feature_sets import PETFULL
from hepfm.data.features import FeatureSet
from hepfm.data.readers.base import row_weights
from hepfm.data.readers.physics import PDG_TYPES, particle_types
from hepfm.data.remote import DataFile
from hepfm.data.schemas.jets import JET_WEIGHT, jet_schema
from hepfm.data.tables.hdf5_arrays import CHUNK_ROWS, array_of, attribute_of, open_hdf5, same_rows
from hepfm.physics.kinematics import energy_of

PID = "pid"
IGNORED = "-"
GLOBALS = ("jet_pt", "jet_eta", "jet_mass", "num_constituents/100")


class OmniLearnedReader:
    """Reads ``data``, ``pid`` (the class of the jet) and, if the columns are named, ``global``."""

    endings: ClassVar = (".h5", ".hdf5")

    class Config(config.Config):
        """What a file does not tell; by default its attributes of these names do.

        Attributes
        ----------
        columns
            What the columns of ``data`` are: deta, dphi, log_pt, log_energy, pid, tanh_d0, d0_error, tanh_dz,
            dz_error, or - for one to leave out. Needed when there are more than the first four.
        classes
            Name of each class by its number in ``pid``, e.g. ``{2: QCD, 10: Tbqq}``.
        pdg
            PDG code of each number in the column pid, e.g. ``{0: 0, 1: 211, 2: -211}``; 0 is an unknown one.
        global_columns
            What the columns of ``global`` are: jet_pt, jet_eta, jet_mass, or - for others.
        weight
            Data set with the event weight of each jet.
        """

        columns: tuple[str, ...] | None = None
        classes: dict[int, str] | None = None
        pdg: dict[int, int] | None = None
        global_columns: tuple[str, ...] | None = None
        weight: str | None = None

    def __init__(self, config: Config) -> None:
        self.config = config

    def source(self, path: DataFile) -> dict[str, str]:
        """Return what is known of such files."""
        return {"title": "OmniLearned's HDF5 layout", "paper": "2510.24066"}

    def schema(self, path: DataFile) -> Schema:
        """Return the schema that the columns and classes make."""
        with open_hdf5(path) as file:
            layout = _Layout(file, path, self.config)
        return jet_schema(
            tuple(layout.classes.values()),
            identity=PID in layout.columns,
            tracks=set(DISPLACEMENT) <= set(layout.columns),
            substructure=False,
            weight=layout.weight is not None,
        )

    def num_rows(self, path: DataFile) -> int:
        """Return the number of jets of a file."""
        with open_hdf5(path) as file:
            return _Layout(file, path, self.config).num_rows

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the jets of a file."""
        with open_hdf5(path) as file:
            layout = _Layout(file, path, self.config)
            for start in range(0, layout.num_rows, CHUNK_ROWS):
                yield layout.jets(slice(start, start + CHUNK_ROWS))


class _Layout:
    """An open file whose columns and classes are known; raises `DataError` where they are not."""

    def __init__(self, file: Any, path: DataFile, options: OmniLearnedReader.Config) -> None:
        self.file, self.path = file, path
        self.data = array_of(file, "data", path, shape="N M F")
        self.labels = array_of(file, "pid", path, shape="N")
        self.num_rows = same_rows(path, data=self.data, pid=self.labels)
        self.columns = tuple(self._of("columns", options.columns) or KINEMATICS)
        self.classes = self._classes(self._of("classes", options.classes))
        self.pdg = self._pdg(self._of("pdg", options.pdg))
        self.globals = tuple(self._of("global_columns", options.global_columns) or ())
        self.weight: str | None = self._of("weight", options.weight)
        if self.weight is not None:
            array_of(file, self.weight, path, shape=str(self.num_rows))
        self._check_columns()
        for name in self.globals:
            if name not in (*GLOBALS, IGNORED):
                raise ConfigError(
                    f"global_columns: unknown name {name!r}{did_you_mean(name, (*GLOBALS, IGNORED))}"
                )
        if self.globals:
            array_of(file, "global", path, shape=f"{self.num_rows} {len(self.globals)}")

    def _of(self, name: str, given: Any) -> Any:
        """Return an option, or the file's attribute of that name, or None."""
        if given is not None:
            return given
        text = attribute_of(self.file, name, self.path)
        return None if text is None else json.loads(text)

    def _check_columns(self) -> None:
        known = (*KINEMATICS, PID, *DISPLACEMENT, IGNORED)
        for name in self.columns:
            if name not in known:
                raise ConfigError(f"columns: unknown name {name!r}{did_you_mean(name, known)}")
        width = self.data.shape[2]
        if len(self.columns) != width or self.columns[:4] != KINEMATICS:
            raise DataError(
                f"{self.path}: 'data' has {width} columns and {len(self.columns)} names; name all of them, "
                f"the first four as here, e.g. --set 'columns=[{', '.join((*KINEMATICS, PID))}, -]'"
            )
        named = [name for name in self.columns if name != IGNORED]
        tracks = set(DISPLACEMENT) & set(named)
        if (
            len(set(named)) < len(named)
            or len(tracks) not in (0, len(DISPLACEMENT))
            or (tracks and not self.pdg)
        ):
            raise DataError(
                f"{self.path}: columns {', '.join(self.columns)}: each may come once, and impact parameters "
                "come all four or not at all, and with pid, which tells the charge"
            )

    def _classes(self, given: Any) -> dict[int, str]:
        if not given:
            found = ", ".join(str(number) for number in np.unique(self.labels[:CHUNK_ROWS]))
            raise DataError(
                f"{self.path} does not name its classes; its first rows have the numbers {found}: say e.g. "
                "--set 'classes={0: QCD, 1: Tbqq}'"
            )
        return {int(number): given[number] for number in sorted(given, key=int)}

    def _pdg(self, given: Any) -> dict[int, int]:
        if PID not in self.columns:
            return {}
        if not given:
            raise DataError(
                f"{self.path} does not say which particles the numbers of its column pid are; say e.g. "
                "--set 'pdg={0: 0, 1: 211, 2: -211, 3: 130, 4: 22, 5: 11, 6: -11, 7: 13, 8: -13}'"
            )
        for code in given.values():
            if abs(int(code)) not in PDG_TYPES:
                raise ConfigError(
                    f"pdg: unknown code {code}; known are, with both signs, {sorted(PDG_TYPES)}"
                )
        return {int(number): int(code) for number, code in given.items()}

    def jets(self, rows: slice) -> dict[str, Any]:
        """Return the columns of some rows. Slots whose first four columns are all zero are padding."""
        data = self.data[rows].astype(np.float64)
        real = (data[..., :4] != 0).any(axis=2)
        values = dict(zip(self.columns, data[real].T, strict=True))
        row = self._globals(rows, len(data))
        if self.pdg:
            values |= self._identity(values[PID])
        zeros = np.zeros(len(data))
        axis = {"jet_eta": row.get("jet_eta", zeros), "jet_phi": zeros}
        columns = self._features().invert(values, lengths=real.sum(axis=1), row_fields=axis)
        return {**columns, **_axis(row), **self._weights(rows), "jet_label": self._label(rows)}

    def _weights(self, rows: slice) -> dict[str, Array]:
        if self.weight is None:
            return {}
        return {JET_WEIGHT.name: row_weights(self.file[self.weight][rows], self.weight, self.path)}

    def _features(self) -> FeatureSet:
        tracks = set(DISPLACEMENT) <= set(self.columns)
        given = {"identity": bool(self.pdg), "displacement": tracks}
        return PETFULL.without([group for group, there in given.items() if not there])

    def _globals(self, rows: slice, count: int) -> dict[str, Array]:
        if not self.globals:
            return {}
        values = self.file["global"][rows].astype(np.float64)
        return {name: values[:, place] for place, name in enumerate(self.globals) if name != IGNORED}

    def _label(self, rows: slice) -> Array:
        return self._numbers(self.labels[rows], list(self.classes), "pid, the class", "classes").astype(
            np.int16
        )

    def _identity(self, numbers: Array) -> dict[str, Array]:
        """Return charge and flags of the numbers of the column pid."""
        places = self._numbers(numbers, list(self.pdg), "the column pid", "pdg")
        codes = np.array(list(self.pdg.values()))
        types = particle_types(codes)
        leptons = np.isin(np.abs(codes), (11, 13))
        charges = np.where(leptons, -np.sign(codes), np.sign(codes))
        flags = {flag: (types[places] == number).astype(float) for number, flag in enumerate(FLAGS)}
        return {"charge": charges[places].astype(float), **flags}

    def _numbers(self, values: Array, known: list[int], what: str, option: str) -> Array:
        """Return the place of each value among the known ones."""
        unknown = np.setdiff1d(values, known)
        if len(unknown):
            raise DataError(
                f"{self.path}: {what} has values without a meaning: {', '.join(map(str, unknown[:5]))}; "
                f"{option} knows {', '.join(map(str, known))}"
            )
        order = np.argsort(known)
        places: Array = order[np.searchsorted(np.asarray(known)[order], values)]
        return places


def _axis(row: dict[str, Array]) -> dict[str, Array]:
    """Return the jet where pt, eta and mass are given; else it stays the sum of its constituents."""
    if not {"jet_pt", "jet_eta", "jet_mass"} <= set(row):
        return {}
    pt, eta, mass = (row[name] for name in ("jet_pt", "jet_eta", "jet_mass"))
    fields = {
        "jet_pt": pt,
        "jet_eta": eta,
        "jet_phi": np.zeros(len(pt)),
        "jet_energy": energy_of(pt, eta, mass),
    }
    return {name: values.astype(np.float32) for name, values in fields.items()}
