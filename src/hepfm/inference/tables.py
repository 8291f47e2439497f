"""Tables of predictions as files: Arrow, Parquet, HDF5, ROOT; the ending of the name decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from hepfm.core.errors import ConfigError, missing_extra
from hepfm.core.files import atomic_path
from hepfm.core.ragged import Array, Ragged
from hepfm.data.exporters.hdf5_file import create_hdf5
from hepfm.data.exporters.sinks import jagged

Table = Mapping[str, Array | Ragged]
"""Columns by name: arrays of shape (R,) or (R, D), or lists."""

Arrays = Mapping[str, Array]

WITH_LISTS = (".arrow", ".parquet", ".root")
"""Endings of files that hold lists."""


def write_table(path: Path, table: Table) -> None:
    """Write a table, whole or not at all; raise `ConfigError` for an unknown ending."""
    if path.suffix not in WRITERS:
        raise ConfigError(f"cannot write {path.name!r}; the file must end in {', '.join(WRITERS)}")
    check_lists(path, [name for name, values in table.items() if isinstance(values, Ragged)])
    with atomic_path(path) as temporary:
        WRITERS[path.suffix](temporary, table)


def check_lists(path: Path, names: Sequence[str]) -> None:
    """Raise `ConfigError` for columns of lists in a file that cannot hold them."""
    if names and path.suffix not in WITH_LISTS:
        raise ConfigError(
            f"{', '.join(names)} are lists of constituents, and {path.name!r} holds no lists; the file must "
            f"end in {' or '.join(WITH_LISTS)}"
        )


def _to_arrow(table: Table) -> pa.Table:
    columns = {}
    for name, values in table.items():
        if isinstance(values, Ragged):
            columns[name] = pa.LargeListArray.from_arrays(values.offsets, pa.array(values.values))
            continue
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        columns[name] = flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.table(columns)


def _write_arrow(path: Path, table: Table) -> None:
    columns = _to_arrow(table)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, columns.schema) as writer:
        writer.write_table(columns)


def _write_parquet(path: Path, table: Table) -> None:
    pyarrow.parquet.write_table(_to_arrow(table), path)


def _write_hdf5(path: Path, table: Arrays) -> None:
    with create_hdf5(path) as opened:
        for name, values in table.items():
            opened.file.create_dataset(name, data=values)
            opened.check()


def _write_root(path: Path, table: Table) -> None:
    try:
        import awkward
        import uproot
    except ImportError as error:
        raise missing_extra(str(error.name), "io") from None
    kinds = {
        name: f"var * {values.values.dtype}"
        if isinstance(values, Ragged)
        else (values.dtype, values.shape[1:])
        for name, values in table.items()
    }
    branches = {
        name: jagged(awkward, values) if isinstance(values, Ragged) else values
        for name, values in table.items()
    }
    with uproot.recreate(path) as file:
        # Assigned, columns become an RNTuple from uproot 5.7 on, which ROOT reads from 6.34 on only.
        tree = file.mktree("tree", kinds)
        if len(next(iter(table.values()))):
            tree.extend(branches)


WRITERS: Mapping[str, Callable[[Path, Any], None]] = {
    ".arrow": _write_arrow,
    ".parquet": _write_parquet,
    ".h5": _write_hdf5,
    ".root": _write_root,
}
"""Writer of each ending. ROOT files hold one tree called ``tree``, with a counter ``nNAME`` of each list."""
