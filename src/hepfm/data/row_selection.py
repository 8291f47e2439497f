"""The rows that count where not all do: those of some classes of a field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pydantic

from hepfm.core.errors import DataError, HepfmError, did_you_mean
from hepfm.core.schema import Schema
from hepfm.data.row_source import RowSource

Only = Annotated[tuple[str, ...], pydantic.Field(min_length=2)]
"""Option of a config: a field and one or more of its classes."""


@dataclass(frozen=True)
class RowSelection:
    """Rows whose field has one of some classes.

    Attributes
    ----------
    field
        Name of a categorical field of the rows.
    classes
        Names of the classes.
    numbers
        Their numbers in the schema.
    """

    field: str
    classes: tuple[str, ...]
    numbers: tuple[int, ...]

    @classmethod
    def of(
        cls, only: Sequence[str], schema: Schema, *, where: str, error: type[HepfmError] = DataError
    ) -> RowSelection:
        """Return what a field and its classes select; raise `error` when the field has no such class.

        >>> from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
        >>> str(RowSelection.of(["jet_label", "QCD", "Tbl"], jet_schema(JETCLASS_CLASSES), where="the data"))
        'jet_label = QCD or Tbl'
        """
        name, classes = only[0], tuple(dict.fromkeys(only[1:]))
        field = schema[name]
        if field.level is not schema.row:
            raise error(f"{name!r} of {where} is a field of the {field.level}, not of the {schema.row}")
        for wanted in classes:
            if wanted not in field.classes:
                raise error(
                    f"{name!r} of {where} has no class {wanted!r}{did_you_mean(wanted, field.classes)}; "
                    f"it has {', '.join(field.classes) or 'no classes'}"
                )
        return cls(name, classes, tuple(field.classes.index(wanted) for wanted in classes))

    def of_rows(self, source: RowSource, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return those of some rows that are selected, in their order."""
        numbers = np.asarray(source.read([self.field], rows)[self.field])
        return rows[np.isin(numbers, self.numbers)]

    def __str__(self) -> str:
        return only_words((self.field, *self.classes))


def only_words(only: Sequence[str]) -> str:
    """Return an option `Only` as people write it, e.g. ``jet_label = QCD or Tbl``."""
    return f"{only[0]} = {' or '.join(only[1:])}"


def selected_rows(
    source: RowSource, rows: npt.NDArray[np.int64], only: Sequence[str] | None
) -> npt.NDArray[np.int64]:
    """Return those of some rows that an option `Only` names, all of them when None; see `RowSelection.of`."""
    if only is None:
        return rows
    return RowSelection.of(only, source.schema, where=source.name).of_rows(source, rows)
