"""OmniLearned's own layout (2510.24066, public package), with attributes that say what the columns are."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

import numpy as np
import pydantic

from hepfm.core import config
from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged, lists
from hepfm.core.schema import Schema
from hepfm.data import feature_set
from hepfm.data.context import jet_mass
from hepfm.data.exporters.sinks import Sink
from hepfm.data.feature_names import DISPLACEMENT, KINEMATICS
from hepfm.data.features import JET_COLUMNS
from hepfm.data.padded import open_hdf5_sink, padded
from hepfm.data.readers.omnilearned import GLOBALS, PID
from hepfm.data.schemas.jets import PID_CLASSES

WEIGHT = "weight"
"""Data set of the event weights."""

PDG_CODES = (0, 211, -211, 130, 22, 11, -11, 13, -13)
"""PDG code of each number of the column pid, which has 9 values; 0 is padding and unknown particles."""

_NUMBERS = {
    ("charged_hadron", 1): 1,
    ("charged_hadron", -1): 2,
    ("neutral_hadron", 0): 3,
    ("photon", 0): 4,
    ("electron", -1): 5,
    ("electron", 1): 6,
    ("muon", -1): 7,
    ("muon", 1): 8,
}


class OmniLearnedFormat:
    """Converts jets into ``data``, ``pid`` (the number of the class) and ``global`` (`GLOBALS`).

    Particle types, impact parameters and event weights (`WEIGHT`) are written where the store has them.

    Raises
    ------
    DataError
        When the store has no classes, or lacks a field.
    """

    endings: ClassVar = (".h5", ".hdf5")
    chunk_rows: ClassVar = 20_000

    class Config(config.Config):
        """Options.

        Attributes
        ----------
        num_particles
            Slots of a jet; of longer jets the hardest constituents are kept.
        """

        num_particles: int = pydantic.Field(default=150, gt=0)

    def __init__(self, config: Config, schema: Schema) -> None:
        self.config = config
        if not schema.label_classes:
            raise DataError("OmniLearned's layout needs classes, and this store has none")
        features = feature_set("petfull")
        lacking = [name for name in features.groups if features.missing_group(name, schema)]
        self._features = features.without(lacking)
        missing = self._features.missing(schema)
        if missing:
            raise DataError(f"OmniLearned's layout needs fields that this store lacks: {', '.join(missing)}")
        self._classes, self._label = schema.label_classes, str(schema.label)
        self._identity, self._tracks = "identity" not in lacking, "displacement" not in lacking
        self._weight = schema.weight
        roles = [self._label, *([self._weight] if self._weight else [])]
        self.columns = tuple(dict.fromkeys([*self._features.columns, *roles]))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of ``data``."""
        tracks = DISPLACEMENT if self._tracks and self._identity else ()
        return (*KINEMATICS, *((PID,) if self._identity else ()), *tracks)

    def open(self, path: Path, ending: str) -> AbstractContextManager[Sink]:
        """Make the file."""
        meanings = {
            "columns": self.names,
            "classes": dict(enumerate(self._classes)),
            "pdg": dict(enumerate(PDG_CODES)) if self._identity else None,
            "global_columns": GLOBALS,
            **({"weight": WEIGHT} if self._weight else {}),
        }
        return open_hdf5_sink(path, {name: json.dumps(value) for name, value in meanings.items()})

    def convert(self, columns: Columns) -> dict[str, Array | Ragged]:
        """Return the three arrays of some jets."""
        part_pt = lists(columns, "part_pt")
        values = dict(zip(self._features.names, self._features.compute(columns).T, strict=True))
        if self._identity:
            values[PID] = _numbers(columns)
        data, count = padded(
            {name: part_pt.with_values(values[name]) for name in self.names}, self.config.num_particles
        )
        pt, eta, _, energy = (np.asarray(columns[name], np.float64) for name in JET_COLUMNS)
        row = np.stack([pt, eta, jet_mass(pt, eta, energy), count / 100], axis=1).astype(np.float32)
        weight = {WEIGHT: np.asarray(columns[self._weight], np.float32)} if self._weight else {}
        return {"data": data, PID: np.asarray(columns[self._label], np.int64), "global": row, **weight}


def _numbers(columns: Columns) -> Array:
    """Return the number of each constituent's type and charge; 0 for those without one."""
    table = np.zeros((len(PID_CLASSES), 3))
    for (name, sign), number in _NUMBERS.items():
        table[PID_CLASSES.index(name), sign + 1] = number
    charge = np.clip(np.rint(lists(columns, "part_charge").values), -1, 1).astype(int)
    numbers: Array = table[lists(columns, "part_pid").values, charge + 1]
    return numbers
