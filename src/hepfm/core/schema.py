"""Schema: what arrays mean. Nothing about them is ever guessed from their values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from hepfm.core.errors import DataError, did_you_mean


class Level(StrEnum):
    """What a field belongs to: fields of the rows' level are flat, all others are lists in a row."""

    EVENT = "event"
    OBJECT = "object"
    CONSTITUENT = "constituent"
    HIT = "hit"


class Kind(StrEnum):
    """How values are to be read."""

    CONTINUOUS = "continuous"
    ANGLE = "angle"
    CATEGORICAL = "categorical"
    COUNT = "count"
    FLAG = "flag"


_INTEGERS = tuple(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))
DTYPES = ("bool", *_INTEGERS, "float16", "float32", "float64")
"""NumPy names of the types that can be stored."""


@dataclass(frozen=True)
class Field:
    """One column.

    Attributes
    ----------
    name
        Column name, e.g. ``jet_pt`` (of the jet) or ``part_pt`` (of its constituents).
    level
        What it belongs to.
    kind
        How to read it; a categorical field holds the index into `classes`.
    unit
        ``"GeV"``, ``"mm"``, ``"rad"`` or ``"1"``.
    dtype
        NumPy name of the stored type.
    classes
        Class names of a categorical field, in index order.
    description
        One line.
    """

    name: str
    level: Level
    kind: Kind = Kind.CONTINUOUS
    unit: str = "1"
    dtype: str = "float32"
    classes: tuple[str, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        texts = (self.name, self.unit, self.dtype, self.description, *self.classes)
        if not self.name or not all(isinstance(text, str) for text in texts):
            raise DataError(f"field {self.name!r}: name, unit, type, description and classes are texts")
        if self.dtype not in DTYPES:
            raise DataError(f"field {self.name!r}: no type {self.dtype!r}{did_you_mean(self.dtype, DTYPES)}")
        if (self.kind is Kind.CATEGORICAL) != bool(self.classes):
            raise DataError(f"field {self.name!r}: a categorical field, and only such a one, has classes")


@dataclass(frozen=True)
class Schema:
    """The fields of a data set, the level of its rows, and the roles that some of them have.

    Attributes
    ----------
    fields
        The columns.
    row
        Level of the rows.
    label
        Field of the rows that holds the true class or value.
    weight
        Field of the rows that holds the event weight. Training, validation and metrics use it by
        default.
    group
        Field of the rows that says which of them belong together, e.g. simulations of one event: rows with
        the same number do.
    """

    fields: tuple[Field, ...]
    row: Level = Level.OBJECT
    label: str | None = None
    weight: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(f"fields named twice in the schema: {', '.join(twice)}")
        if self.label is not None and self[self.label].level is not self.row:
            raise DataError(f"the label {self.label!r} must be a field of the rows ({self.row})")
        if self.weight is not None:
            self.check_weight(self.weight)
        if self.group is not None:
            self.check_group(self.group)

    def __getitem__(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise DataError(f"no field {name!r} in this data set{did_you_mean(name, self.names())}")

    def __contains__(self, name: object) -> bool:
        return any(field.name == name for field in self.fields)

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def names(self, level: Level | None = None) -> tuple[str, ...]:
        """Return the field names, of one level or of all."""
        return tuple(field.name for field in self.fields if level in (None, field.level))

    def having(self, names: Iterable[str]) -> Schema:
        """Return the schema of the fields that are among `names`, without the roles of fields that are not.

        E.g. for data without labels that a model is to predict: ``model.schema.having(columns)``.
        """
        wanted = set(names)
        fields = tuple(field for field in self.fields if field.name in wanted)
        roles = {role: name if name in wanted else None for role, name in self._roles().items()}
        return Schema(fields, self.row, **roles)

    def _roles(self) -> dict[str, str | None]:
        return {"label": self.label, "weight": self.weight, "group": self.group}

    @property
    def label_classes(self) -> tuple[str, ...]:
        """Class names of the label; empty when there is no label or it is not categorical."""
        return self[self.label].classes if self.label else ()

    def is_ragged(self, name: str) -> bool:
        """Tell whether a field holds lists within a row."""
        return self[name].level is not self.row

    def check_weight(self, name: str) -> None:
        """Raise `DataError` unless a field can weigh the rows: one continuous number for each of them.

        Units are not looked at: weights may be cross sections, and a mean weighted with the jet pT is a mean.
        """
        if self._can_weigh(self[name]):
            return
        fit = ", ".join(field.name for field in self.fields if self._can_weigh(field)) or "none"
        raise DataError(
            f"{name!r} cannot be a weight: {self._why_not_weight(self[name])}; a weight is one continuous "
            f"floating-point number for each row. Fields that fit: {fit}; null weighs all rows alike"
        )

    def check_group(self, name: str) -> None:
        """Raise `DataError` unless a field can say which rows belong together: one whole number for each."""
        field = self[name]
        if field.level is self.row and field.kind is Kind.COUNT and np.dtype(field.dtype).kind in "iu":
            return
        raise DataError(
            f"{name!r} cannot say which rows belong together: it is of level {field.level}, kind "
            f"{field.kind}, type {field.dtype}; a group is one whole number of kind {Kind.COUNT} for each "
            "row, e.g. of type int64"
        )

    def _can_weigh(self, field: Field) -> bool:
        return not self._why_not_weight(field)

    def _why_not_weight(self, field: Field) -> str:
        if field.level is not self.row:
            return f"it holds lists (of level {field.level})"
        if field.kind is not Kind.CONTINUOUS:
            return f"it is of kind {field.kind}"
        return "" if field.dtype.startswith("float") else f"it holds whole numbers ({field.dtype})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values, roles that no field has left out; the inverse of `from_dict`."""
        roles = {role: name for role, name in self._roles().items() if name is not None}
        return {"row": str(self.row), **roles, "fields": [_plain(field) for field in self.fields]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Schema:
        """Build from `to_dict`'s values; raise `DataError` when they are not a schema."""
        try:
            fields = tuple(
                Field(
                    **{
                        **field,
                        "level": Level(field["level"]),
                        "kind": Kind(field["kind"]),
                        "classes": _classes(field),
                    }
                )
                for field in values["fields"]
            )
            roles = {role: values.get(role) for role in ("label", "weight", "group")}
            return cls(fields, Level(values["row"]), **roles)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"not a schema: {error}") from None


def _classes(field: Mapping[str, Any]) -> tuple[str, ...]:
    classes = field.get("classes", ())
    if not isinstance(classes, list | tuple):
        raise TypeError(f"classes of {field.get('name')!r}: expected a list of names, got {classes!r}")
    return tuple(classes)


def _plain(field: Field) -> dict[str, Any]:
    return {
        **asdict(field),
        "level": str(field.level),
        "kind": str(field.kind),
        "classes": list(field.classes),
    }
