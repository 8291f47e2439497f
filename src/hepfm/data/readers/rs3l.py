"""RS3L (2403.07066): HDF5 files of jets whose hard event was simulated several times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pydantic

from hepfm.core import config
from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Schema
from hepfm.data.readers.base import sort_by_pt
from hepfm.data.readers.event_files import event_ids
from hepfm.data.readers.physics import particle_types
from hepfm.data.remote import DataFile
from hepfm.data.schemas.jets import (
    IDENTITY_CONSTITUENT_FIELDS,
    JET_FIELDS,
    KINEMATIC_CONSTITUENT_FIELDS,
    ORIGIN,
    VARIATION,
    jet_schema,
    variation_field,
)
from hepfm.data.tables.hdf5_arrays import array_of, open_hdf5, same_rows
from hepfm.physics.kinematics import wrap_phi

CLASSES = {
    1: "q",
    2: "c",
    3: "b",
    4: "Hbb",
    5: "g_qq",
    6: "g_cc",
    7: "g_bb",
    8: "g_gg",
    9: "Wqq",
    10: "Zqq",
    11: "Zbb",
}
"""Class by its number in the files; those of gluons by what they split into."""

VARIATIONS = ("nominal", "seed", "fsr_down", "fsr_up", "herwig")
"""The simulations in the order of the files. ``fsr_down`` has the renormalisation scale of final-state
radiation divided by the square root of 2, ``fsr_up`` multiplied, as in `hepfm simulate`."""

_JETS, _CANDIDATES = "singletons", "jet_pflow_cands"
_TYPE, _MOMENTUM = 0, slice(9, 13)
_COLUMNS = ("pt", "relpt", "eta", "phi", "dr", "e", "rele", "charge", "pdgid", "d0", "dz")
"""Features of a candidate, which the files have in front of the candidates."""
_TRAINING_FILE = "features"
_PIECE_ROWS = 1_000
"""Hard events of a piece: each holds up to five jets of a hundred candidates."""


class Rs3lReader:
    """Reads ``rs3l_0.h5`` and the others: a row for each simulation of a jet.

    - The rows of a jet share ``jet_origin``, the schema's group, and ``jet_variation`` says by which
      simulation each was made. A simulation in which the jet is missing (pt 0) has no row. The last entry of
      a file, which other loaders cut off, is read like the others.
    - What the numbers of classes and simulations mean comes from code that reads the files. Code of the
      authors has W and Z -> bb, and the two scales, the other way round: look at masses and numbers of
      constituents before you rely on them, and set the options if need be.
    - Impact parameters are taken to be in mm and of Delphes's sign. The files have no uncertainties of them.
    """

    endings: ClassVar = (".h5", ".hdf5")

    class Config(config.Config):
        """Options.

        Attributes
        ----------
        classes
            Class of each number; several numbers may have one class: ``{1: QCD, 2: QCD, 4: Hbb}``. A jet with
            another number is refused.
        variations
            Names of the simulations, in the order of the files.
        """

        classes: dict[int, str] = pydantic.Field(default_factory=lambda: dict(CLASSES), min_length=1)
        variations: tuple[str, ...] = pydantic.Field(VARIATIONS, min_length=1)

        @pydantic.model_validator(mode="after")
        def _check(self) -> Rs3lReader.Config:
            if len(set(self.variations)) != len(self.variations):
                raise ValueError("variations: name each once")
            return self

    def __init__(self, config: Config) -> None:
        self.config = config
        self._classes = tuple(dict.fromkeys(config.classes.values()))

    def source(self, path: DataFile) -> dict[str, str]:
        """Return the origin of the published files."""
        return {"title": "RS3L", "doi": "10.5281/zenodo.10633814", "paper": "2403.07066"}

    def schema(self, path: DataFile) -> Schema:
        """Return the schema: fields of constituents but uncertainties, the class, origin and variation."""
        with open_hdf5(path) as file:
            self._arrays(file, path)
        schema = jet_schema(self._classes, extra=(ORIGIN, variation_field(self.config.variations)))
        fields = (*JET_FIELDS, *KINEMATIC_CONSTITUENT_FIELDS, *IDENTITY_CONSTITUENT_FIELDS)
        names = [*(field.name for field in fields), "part_d0", "part_dz", "jet_label", ORIGIN.name, VARIATION]
        return replace(schema.having(names), group=ORIGIN.name)

    def num_rows(self, path: DataFile) -> int:
        """Return the number of jets of a file, of all simulations."""
        with open_hdf5(path) as file:
            jets, _ = self._arrays(file, path)
            starts = range(0, len(jets), _PIECE_ROWS)
            return sum(int(_there(jets[start : start + _PIECE_ROWS]).sum()) for start in starts)

    def chunks(self, path: DataFile) -> Iterator[Columns]:
        """Yield the jets of a file."""
        with open_hdf5(path) as file:
            jets, candidates = self._arrays(file, path)
            for start in range(0, len(jets), _PIECE_ROWS):
                rows = slice(start, start + _PIECE_ROWS)
                columns = self._rows(jets[rows], candidates[rows, :, : len(_COLUMNS)], start, path)
                if len(columns["jet_pt"]):
                    yield columns

    def _arrays(self, file: Any, path: DataFile) -> tuple[Any, Any]:
        """Return the arrays of jets and of their candidates, on disk."""
        if _TRAINING_FILE in file and _JETS not in file:
            raise DataError(
                f"{path} holds pairs of rows ({_TRAINING_FILE!r}), as RS3L's training code has them; the "
                f"published files hold {_JETS!r} and {_CANDIDATES!r}: read these, or the pairs with a map"
            )
        names = self.config.variations
        shape = f"N {len(names)}"
        jets = array_of(file, _JETS, path, shape=f"{shape} F")
        candidates = array_of(file, _CANDIDATES, path, shape=f"{shape} F M")
        same_rows(path, **{_JETS: jets, _CANDIDATES: candidates})
        for name, array, least in ((_JETS, jets, _MOMENTUM.stop), (_CANDIDATES, candidates, len(_COLUMNS))):
            if array.shape[2] < least:
                raise DataError(
                    f"{path}: data set {name!r} has {array.shape[2]} features in its third dimension, "
                    f"expected {least} or more"
                )
        return jets, candidates

    def _rows(self, jets: Array, candidates: Array, start: int, path: DataFile) -> dict[str, Array | Ragged]:
        """Return the jets of some hard events, those of an event one after the other."""
        there = _there(jets)
        event, variation = np.nonzero(there)
        self._refuse_lost(candidates, there, start, path)
        number = start + np.arange(len(jets))
        # All simulations together tell hard events apart, whichever of them are missing.
        origin = event_ids(number, *jets[..., _MOMENTUM].reshape(len(jets), -1).T)
        pt, eta, phi, energy = jets[there][:, _MOMENTUM].astype(np.float64).T
        features = np.moveaxis(candidates[there].astype(np.float64), 1, 2)
        real = features[..., 0] != 0  # padding is exactly zero
        parts = dict(zip(_COLUMNS, features[real].T, strict=True))
        lengths = real.sum(axis=1)
        charged = parts["charge"] != 0
        lists = {
            "pt": parts["pt"],
            "eta": parts["eta"],
            "phi": wrap_phi(parts["phi"]),
            "energy": parts["e"],
            "charge": parts["charge"],
            "d0": np.where(charged, parts["d0"], 0),
            "dz": np.where(charged, parts["dz"], 0),
        }
        rows = {"jet_pt": pt, "jet_eta": eta, "jet_phi": wrap_phi(phi), "jet_energy": energy}
        return sort_by_pt(
            {
                **{name: values.astype(np.float32) for name, values in rows.items()},
                "jet_label": self._labels(jets[there][:, _TYPE], start + event, path),
                ORIGIN.name: origin[event],
                VARIATION: variation.astype(np.int8),
                **{
                    f"part_{name}": Ragged.from_lengths(values.astype(np.float32), lengths)
                    for name, values in lists.items()
                },
                "part_pid": Ragged.from_lengths(particle_types(parts["pdgid"]), lengths),
            }
        )

    def _refuse_lost(self, candidates: Array, there: Array, start: int, path: DataFile) -> None:
        """Raise `DataError` where a simulation without a jet has candidates."""
        lost = np.argwhere((candidates[:, :, 0] != 0).any(axis=-1) & ~there)
        if len(lost):
            event, variation = (int(place) for place in lost[0])
            raise DataError(
                f"{path}, row {start + event}: simulation {self.config.variations[variation]!r} has "
                f"candidates and a jet of pt 0 (column {_MOMENTUM.start} of {_JETS!r}); is the file of "
                "another layout?"
            )

    def _labels(self, types: Array, row: Array, path: DataFile) -> Array:
        labels = np.full(len(types), -1, np.int16)
        for number, name in self.config.classes.items():
            labels[types == number] = self._classes.index(name)
        bad = np.flatnonzero(labels < 0)
        if len(bad):
            raise DataError(
                f"{path}, row {row[bad[0]]}: {types[bad[0]]:g} is none of the numbers of classes "
                f"{', '.join(map(str, self.config.classes))}; give it one with the option classes, e.g. "
                f"--set 'classes={{1: QCD, 4: Hbb}}' ({len(bad)} such jets in this piece of the file)"
            )
        return labels


def _there(jets: Array) -> Array:
    """Return which simulations of hard events have a jet, boolean (events, simulations)."""
    return np.asarray(jets[..., _MOMENTUM.start] != 0)
