"""Table: rows in memory, read as a store is read."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hepfm.core.config import fingerprint
from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, Ragged, concatenate, take_rows
from hepfm.core.schema import Schema
from hepfm.data.columns import to_column
from hepfm.data.groups import check_whole
from hepfm.data.row_source import Index, RowSource
from hepfm.data.validate import prepare

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

NAME = "the table in memory"


class Table(RowSource):
    """Rows (jets, events, showers) in memory: checked as a store's rows are, and read like them.

    Parameters
    ----------
    schema
        The fields. `Schema.having` gives the part of a model's schema that some data have.
    splits
        Columns of each split, by its name. Fields that the schema does not name are left out.
    name
        What messages call the table.
    provenance
        Where the data come from; JSON-ready.

    Raises
    ------
    DataError
        When a field of the schema is missing, holds another type, or breaks a rule of
        `hepfm.data.validate`.

    Examples
    --------
    >>> from hepfm.core.schema import Field, Level
    >>> schema = Schema((Field("jet_pt", Level.OBJECT), Field("part_pt", Level.CONSTITUENT)))
    >>> table = Table.from_dict({"jet_pt": [3.0, 1.0], "part_pt": [[2.0, 1.0], [1.0]]}, schema)
    >>> table.read(["jet_pt"], [1])["jet_pt"].tolist(), table.lengths("constituent").tolist()
    ([1.0], [2, 1])
    """

    def __init__(
        self,
        schema: Schema,
        splits: Mapping[str, Columns],
        *,
        name: str = NAME,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        if not splits:
            raise DataError(f"{name}: a table needs the columns of at least one split")
        parts = [_prepared(schema, columns, f"{name}, split {split}") for split, columns in splits.items()]
        self._name, self._schema, self._provenance = name, schema, dict(provenance or {})
        self._columns = concatenate(parts)
        if schema.group:
            groups = [np.asarray(part[schema.group]) for part in parts]
            check_whole(dict(zip(splits, groups, strict=True)), field=schema.group, where=name)
        stops = np.cumsum([0, *(_num_rows(part) for part in parts)]).tolist()
        self._splits = {split: range(*ends) for split, ends in zip(splits, pairwise(stops), strict=True)}

    @classmethod
    def from_dict(
        cls, columns: Mapping[str, Any], schema: Schema, *, split: str = "test", name: str = NAME
    ) -> Self:
        """Build from arrays, lists, `Ragged`, awkward arrays, pandas series or Arrow arrays by field name."""
        return cls(schema, {split: columns}, name=name)

    @classmethod
    def from_awkward(cls, records: Any, schema: Schema, *, split: str = "test", name: str = NAME) -> Self:
        """Build from an awkward array of records whose fields have the names of the schema's."""
        return cls.from_dict(
            {field: records[field] for field in records.fields}, schema, split=split, name=name
        )

    @classmethod
    def from_pandas(
        cls, frame: pd.DataFrame, schema: Schema, *, split: str = "test", name: str = NAME
    ) -> Self:
        """Build from a data frame; cells of list fields hold lists or arrays."""
        columns = {str(field): frame[field].to_numpy() for field in frame.columns}
        return cls.from_dict(columns, schema, split=split, name=name)

    @classmethod
    def from_arrow(
        cls,
        table: pa.Table | pa.RecordBatch,
        schema: Schema,
        *,
        split: str = "test",
        name: str = NAME,
    ) -> Self:
        """Build from an Arrow table or record batch."""
        return cls.from_dict(
            {field: table[field] for field in table.schema.names}, schema, split=split, name=name
        )

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._name

    @property
    def schema(self) -> Schema:
        """What the columns mean."""
        return self._schema

    @property
    def num_rows(self) -> int:
        """Number of rows of all splits."""
        return _num_rows(self._columns)

    @property
    def splits(self) -> dict[str, range]:
        """Row numbers of each split."""
        return dict(self._splits)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where the data come from."""
        return self._provenance

    @property
    def fingerprint(self) -> str:
        """Short hash of schema, splits and contents; computed at each call."""
        digest = sha256()
        for name in self.schema.names():
            column = self._columns[name]
            for array in (column.values, column.offsets) if isinstance(column, Ragged) else (column,):
                digest.update(np.ascontiguousarray(array).data)
        splits = {name: [rows.start, rows.stop] for name, rows in self._splits.items()}
        return fingerprint({"schema": self.schema.to_dict(), "splits": splits, "sha256": digest.hexdigest()})

    def with_schema(self, schema: Schema) -> Self:
        """Return the same rows under a schema with other roles."""
        splits = {name: self.read(self.schema.names(), rows) for name, rows in self._splits.items()}
        return type(self)(schema, splits, name=self._name, provenance=self._provenance)

    def _take(self, names: list[str], index: range | Index) -> dict[str, Array | Ragged]:
        return take_rows({name: self._columns[name] for name in names}, np.asarray(index, np.int64))


def _prepared(schema: Schema, columns: Mapping[str, Any], where: str) -> dict[str, Array | Ragged]:
    known = {
        name: to_column(values, name=name, ragged=schema.is_ragged(name), where=where)
        for name, values in columns.items()
        if name in schema
    }
    return prepare(schema, known, where=where)


def _num_rows(columns: Columns) -> int:
    return len(next(iter(columns.values()), ()))
