"""The rows of a store that count: those of one class of a field."""

from __future__ import annotations

import numpy as np

from hepfm.core.errors import DataError, did_you_mean
from hepfm.core.schema import Schema
from hepfm.data.store import Store
from hepfm.metrics.predictions import IntArray


def rows_of_class(store: Store, rows: IntArray, only: tuple[str, str] | None) -> IntArray:
    """Return those of some rows whose field `only[0]` has the class `only[1]`; all of them if None.

    Raises
    ------
    DataError
        When the field has no such class.
    """
    if only is None:
        return rows
    name, wanted = only
    number = class_number(store.schema, name, wanted, where=str(store.path))
    values = np.asarray(store.read([name], rows)[name])
    counted: IntArray = rows[values == number]
    return counted


def class_number(schema: Schema, name: str, wanted: str, *, where: str) -> int:
    """Return the number of a class of a field; raise `DataError` when the field has no such class."""
    classes = schema[name].classes
    if wanted not in classes:
        near = did_you_mean(wanted, classes)
        raise DataError(
            f"{name!r} of {where} has no class {wanted!r}{near}; it has {', '.join(classes) or 'no classes'}"
        )
    return classes.index(wanted)
