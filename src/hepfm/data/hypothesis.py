"""Rows read as if a number of theirs were another one: what a model says under a hypothesis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from hepfm.core.config import fingerprint
from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Kind, Schema
from hepfm.data.row_source import Index, RowSource


class Hypothesis(RowSource):
    """The rows of a source, of which some fields have one given value each.

    E.g. a mass of a resonance, for events of which it is not known: a network that is a function of the mass
    is asked at one mass after the other.

    Parameters
    ----------
    source
        The rows.
    values
        Value by field.

    Raises
    ------
    DataError
        For a field that the source lacks, or that is not one number of each row.
    """

    def __init__(self, source: RowSource, values: Mapping[str, float]) -> None:
        for name in values:
            field = source.schema[name]
            if field.level is not source.schema.row or field.kind is Kind.CATEGORICAL:
                raise DataError(
                    f"{name!r} of {source.name} is {field.kind} of the {field.level}: a hypothesis is one "
                    f"number of each {source.schema.row}"
                )
        self._source, self._values = source, dict(values)

    @property
    def name(self) -> str:
        """What messages call it."""
        return (
            f"{self._source.name} with {', '.join(f'{key}={value:g}' for key, value in self._values.items())}"
        )

    @property
    def schema(self) -> Schema:
        """What the columns mean."""
        return self._source.schema

    @property
    def num_rows(self) -> int:
        """Number of rows of all splits."""
        return self._source.num_rows

    @property
    def splits(self) -> dict[str, range]:
        """Row numbers of each split."""
        return self._source.splits

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where the data come from."""
        return self._source.provenance

    @property
    def fingerprint(self) -> str:
        """Short hash of schema, contents and hypothesis."""
        return fingerprint({"source": self._source.fingerprint, "values": self._values})

    def with_schema(self, schema: Schema) -> Self:
        """Return the same rows under a schema whose roles differ."""
        return type(self)(self._source.with_schema(schema), self._values)

    def _take(self, names: list[str], index: range | Index) -> dict[str, Array | Ragged]:
        columns = self._source.read(names, np.asarray(index))
        for name in self._values.keys() & columns.keys():
            columns[name] = np.full(len(index), self._values[name], columns[name].dtype)  # type: ignore[union-attr]
        return columns
