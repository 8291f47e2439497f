"""Numbers of classes from a map's codes or flags."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from typing import Any

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array
from hepfm.data.maps.config import Classes, LabelMap
from hepfm.data.remote import DataFile

UNKNOWN = -1
"""Number of what has no class."""


def from_codes(values: Array, spec: Classes, classes: Sequence[str]) -> Array:
    """Return the number of the class of each value, `UNKNOWN` for a value that is none of the codes."""
    assert isinstance(spec.codes, dict)
    numbers = np.full(len(values), _rest(spec, classes), np.int16)
    for code, name in spec.codes.items():
        numbers[values == code] = classes.index(name)
    return numbers


def from_flags(flags: Sequence[Array], spec: Classes, classes: Sequence[str]) -> Array:
    """Return the number of the class whose flag is true, `UNKNOWN` where none or several are."""
    assert spec.flags is not None
    told = np.stack([np.asarray(flag) != 0 for flag in flags])
    places = np.array([classes.index(name) for name in spec.flags], np.int16)
    count = told.sum(axis=0)
    return np.where(
        count == 1, places[told.argmax(axis=0)], np.where(count == 0, _rest(spec, classes), UNKNOWN)
    )


def _rest(spec: Classes, classes: Sequence[str]) -> int:
    return classes.index(spec.otherwise) if spec.otherwise is not None else UNKNOWN


def of_file(path: DataFile, spec: LabelMap, rows: int) -> Array:
    """Return the number of the class of a file for each of its rows; raise `DataError` unless it has one."""
    assert spec.files is not None
    found = list(dict.fromkeys(name for pattern, name in spec.files.items() if fnmatch(path.name, pattern)))
    if len(found) != 1:
        says = f"fits several classes ({', '.join(found)})" if found else "fits none of"
        raise DataError(f"{path}: the name {says} the patterns of the label: {', '.join(spec.files)}")
    return np.full(rows, spec.classes.index(found[0]), np.int16)


def refuse_unknown(numbers: Array, values: Any, name: str, spec: Classes, *, where: str, rows: Array) -> None:
    """Raise `DataError` where there is no class, with the value and the file's row.

    Parameters
    ----------
    numbers
        Of classes.
    values
        What they come from; None for flags.
    name
        Of the field.
    spec
        Where it comes from.
    where, rows
        The file, and the row of each number in it.
    """
    bad = np.flatnonzero(numbers == UNKNOWN)
    if not len(bad):
        return
    first = int(bad[0])
    if values is None:
        said = f"not exactly one of the flags {', '.join(spec.flags or ())} is true"
    else:
        said = f"{values[first]:g} is none of the codes {', '.join(str(code) for code in spec.codes or ())}"
    raise DataError(
        f"{where}: field {name!r}, row {rows[first]}: {said} ({len(bad)} such in this piece of the file); "
        "add it, say 'otherwise: CLASS', or leave such rows out (label: 'drop: true', else 'select')"
    )
