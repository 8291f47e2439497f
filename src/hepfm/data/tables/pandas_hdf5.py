"""Tables that pandas has written to HDF5, in both of its formats.

pandas keeps the names of columns pickled. They are read from the pickles' operations and never executed.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import Any

from hepfm.core.errors import DataError
from hepfm.data.remote import DataFile
from hepfm.data.tables.arrays import ArrayColumn
from hepfm.data.tables.hdf5_arrays import attribute_of, refuse_variable_length

_TABLE, _FIXED = "frame_table", "frame"


def is_pandas(item: Any) -> bool:
    """Tell whether a group of an HDF5 file holds a table of pandas."""
    return _kind(item) in (_TABLE, _FIXED)


def pandas_columns(group: Any, path: DataFile) -> dict[str, ArrayColumn]:
    """Return the columns of a table by name.

    Parameters
    ----------
    group
        The group that pandas calls by the table's key.
    path
        The file, for messages.
    """
    read = _of_table if _kind(group) == _TABLE else _of_fixed
    columns = dict(read(group, path))
    if not columns:
        raise DataError(f"{path}: the pandas table {group.name!r} has no columns")
    return columns


def _kind(item: Any) -> str:
    if hasattr(item, "shape") or "pandas_type" not in item.attrs:
        return ""
    kind = item.attrs.get_id("pandas_type").dtype
    return "" if kind.hasobject or kind.kind != "S" else _text(item.attrs["pandas_type"])


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _of_table(group: Any, path: DataFile) -> Iterator[tuple[str, ArrayColumn]]:
    """Yield the columns of the format ``table``: blocks of columns of one type, and columns of their own."""
    table = group["table"]
    refuse_variable_length(table.dtype, f"data set {table.name}", path)
    for block in table.dtype.names:
        if block == "index":
            continue
        names = _names(attribute_of(table, f"{block}_kind", path)) or [block]
        shape = table.dtype[block].shape
        if len(names) != (shape[0] if shape else 1):
            raise DataError(f"{path}: block {block!r} has {shape or 1} columns, and names for {len(names)}")
        for place, name in enumerate(names):
            yield name, ArrayColumn(table, block, place if shape else None)


def _of_fixed(group: Any, path: DataFile) -> Iterator[tuple[str, ArrayColumn]]:
    """Yield the columns of the format ``fixed``: blocks of columns of one type, beside their names."""
    for number in range(int(attribute_of(group, "nblocks", path) or 0)):
        values, items = group[f"block{number}_values"], group[f"block{number}_items"]
        refuse_variable_length(values.dtype, f"data set {values.name}", path)
        refuse_variable_length(items.dtype, f"data set {items.name}", path)
        for place, name in enumerate(items[:]):
            yield _text(name), ArrayColumn(values, None, place)


def _names(pickled: Any) -> list[str]:
    """Return the names in a pickled list: its texts, or its whole numbers."""
    if not pickled or not isinstance(pickled, bytes):
        return []
    operations = list(pickletools.genops(bytes(pickled)))
    texts = [arg for _, arg, _ in operations if isinstance(arg, str)]
    numbers = [str(arg) for code, arg, _ in operations if code.name.startswith(("BININT", "INT", "LONG"))]
    return texts or numbers
