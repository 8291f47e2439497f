"""What readers of files of events share: a row for each jet, which jets, their class, their event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from hepfm.core import config
from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.maps.classes import of_file
from hepfm.data.maps.config import LabelMap
from hepfm.data.readers.base import row_weights
from hepfm.data.readers.cuts import MomentumCuts
from hepfm.data.remote import DataFile
from hepfm.data.schemas.jets import EVENT_ID, JET_WEIGHT, jet_schema

EVENT_ROWS = 2_000
"""Events of a piece: each holds up to some thousand candidates."""

EVENT_FIELDS = (
    Field("event_run", Level.OBJECT, Kind.COUNT, dtype="int64", description="run of the event"),
    Field("event_lumi", Level.OBJECT, Kind.COUNT, dtype="int64", description="luminosity block of the event"),
    Field("event_number", Level.OBJECT, Kind.COUNT, dtype="int64", description="number of the event"),
)

# SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


class WeightedFiles(config.Config):
    """Files of events that may have weights.

    Attributes
    ----------
    weight
        Branch of the event weight, e.g. of the generator; null for none.
    """

    weight: str | None = None

    def event_weights(self, columns: Columns, path: DataFile) -> Array:
        """Return the weights of events, float32. Some formats write a list with the one weight of each."""
        assert self.weight is not None
        column = columns[self.weight]
        if isinstance(column, Ragged) and (column.lengths == 1).all():
            column = column.values
        return row_weights(column, self.weight, path)


class EventFileConfig(MomentumCuts, WeightedFiles):
    """Which jets of the events are read, by the momentum that the file gives, and what it does not tell.

    Attributes
    ----------
    jet_class
        Class of all jets of the files, or class by a pattern of the file's name:
        ``{"QCD*": QCD, "TT*": Tbqq}``; null for jets without label.
    """

    jet_class: str | dict[str, str] | None = None

    def schema_of(
        self, names: Iterable[str], extra: tuple[Field, ...], *, classes: tuple[str, ...] = ()
    ) -> Schema:
        """Return the schema of the fields of these names, with label, weight and event.

        Parameters
        ----------
        names
            Of the fields.
        extra
            Fields that `jet_schema` does not have.
        classes
            Of a label that the file has; else it is that of the option `jet_class`.
        """
        classes = classes or (self._label.classes if self._label else ())
        schema = jet_schema(classes, weight=self.weight is not None, extra=(*extra, EVENT_ID))
        kept = [*names, *filter(None, (schema.label, schema.weight)), EVENT_ID.name]
        return replace(schema.having(kept), group=EVENT_ID.name)

    def label_of_file(self, path: DataFile, rows: int) -> dict[str, Array]:
        """Return the label of the rows of a file; nothing for jets without."""
        return {} if self._label is None else {"jet_label": of_file(path, self._label, rows)}

    def weights(self, columns: Columns, events: Array, path: DataFile) -> dict[str, Array]:
        """Return the weights of jets from those of the events that they are in; nothing without the
        option."""
        return {} if self.weight is None else {JET_WEIGHT.name: self.event_weights(columns, path)[events]}

    @property
    def _label(self) -> LabelMap | None:
        return class_of_files(self.jet_class)


def class_of_files(named: str | dict[str, str] | None) -> LabelMap | None:
    """Return the label of files that are all of one class, or of classes by patterns of their names."""
    if named is None:
        return None
    return LabelMap(files={"*": named} if isinstance(named, str) else named)


def event_ids(*parts: Array) -> Array:
    """Return a number for each event, int64 and not negative, by a hash of what tells events apart.

    Of 10^8 events two have the same number with a probability of 0.05 %.

    Parameters
    ----------
    *parts
        Integers or floating-point numbers, (events,) each.
    """
    state = np.zeros(len(parts[0]), np.uint64)
    for part in parts:
        whole = np.asarray(part).dtype.kind in "iub"
        bits = np.asarray(part).astype(np.int64 if whole else np.float64).view(np.uint64)
        state = _mixed(state ^ bits)
    return (state >> np.uint64(1)).astype(np.int64)


def _mixed(bits: Array) -> Array:
    bits = bits + _GOLDEN
    for shift, factor in zip(_SHIFTS[:2], _FACTORS, strict=True):
        bits = (bits ^ (bits >> shift)) * factor
    return np.asarray(bits ^ (bits >> _SHIFTS[2]))


def same_lists(columns: Columns, names: Sequence[str], path: DataFile) -> list[Ragged]:
    """Return columns that hold lists of the same lengths; raise `DataError` if they do not."""
    found = []
    for name in names:
        column = columns[name]
        if not isinstance(column, Ragged):
            raise DataError(f"{path}: branch {name!r} must hold a list for each event")
        found.append(column)
        if not np.array_equal(column.offsets, found[0].offsets):
            raise DataError(f"{path}: branches {names[0]!r} and {name!r} hold lists of different lengths")
    return found
