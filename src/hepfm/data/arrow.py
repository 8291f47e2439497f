"""Columns to Arrow and back to views: how a schema looks inside a shard.

A field of the rows is a plain column, a field of a deeper level a ``list`` column (int32 offsets), and
flags are ``uint8``. Nothing is nullable or compressed, and a shard is one record batch, so that each column
is one contiguous piece of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.schema import Field, Schema


def storage_dtype(field: Field) -> np.dtype[Any]:
    """Return the type of a field's values in a shard."""
    return np.dtype(np.uint8 if field.dtype == "bool" else field.dtype)


def arrow_schema(schema: Schema) -> pa.Schema:
    """Return the Arrow schema of a shard; units and descriptions are field metadata."""
    return pa.schema([_arrow_field(field, ragged=schema.is_ragged(field.name)) for field in schema])


def _arrow_field(field: Field, *, ragged: bool) -> pa.Field:
    kind = pa.from_numpy_dtype(storage_dtype(field))
    kind = pa.list_(pa.field("item", kind, nullable=False)) if ragged else kind
    metadata = {"unit": field.unit, "kind": str(field.kind), "description": field.description}
    return pa.field(field.name, kind, nullable=False, metadata=metadata)


def write_shard(path: Path, schema: Schema, columns: Columns) -> None:
    """Write columns, already of the stored types, as one Arrow IPC file."""
    target = arrow_schema(schema)
    arrays = [_arrow_array(columns[field.name], target.field(field.name)) for field in schema]
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, target) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=target))


def _arrow_array(column: Array | Ragged, field: pa.Field) -> pa.Array:
    if not isinstance(column, Ragged):
        return pa.array(_plain(column))
    offsets = pa.array(column.offsets.astype(np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(_plain(column.values)), type=field.type)


def _plain(values: Array) -> Array:
    return values.view(np.uint8) if values.dtype == np.bool_ else values


@dataclass(frozen=True)
class ColumnView:
    """A column of a shard as views of the file; `offsets` (int32, rows + 1) only for lists."""

    values: Array
    offsets: Array | None
    level: str


def view_shard(data: memoryview, schema: Schema, rows: int, *, path: Path) -> dict[str, ColumnView]:
    """Return views of every column of a shard that lies in memory, e.g. mapped from its file."""
    try:
        reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(data)))
        batch = reader.get_batch(0)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is damaged ({error}); run `hepfm data check` on its store") from None
    if (
        not reader.schema.equals(arrow_schema(schema))
        or batch.num_rows != rows
        or reader.num_record_batches != 1
    ):
        raise DataError(f"{path} is not what its manifest says; run `hepfm data check` on its store")
    return {field.name: _view(batch.column(field.name), field) for field in schema}


def _view(array: pa.Array, field: Field) -> ColumnView:
    dtype = storage_dtype(field)
    if not isinstance(array, pa.ListArray):
        return ColumnView(_buffer(array.buffers()[1], dtype, len(array), field), None, field.level)
    offsets = _buffer(array.buffers()[1], np.dtype(np.int32), len(array) + 1, field=None)
    return ColumnView(_buffer(array.buffers()[3], dtype, len(array.values), field), offsets, field.level)


def _buffer(buffer: pa.Buffer | None, dtype: np.dtype[Any], count: int, field: Field | None) -> Array:
    values = np.frombuffer(buffer, dtype, count) if buffer is not None and count else np.zeros(count, dtype)
    return values.view(np.bool_) if field is not None and field.dtype == "bool" else values
