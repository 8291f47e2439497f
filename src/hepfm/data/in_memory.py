"""Jets that a user holds in memory, in any of the usual forms, as rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from hepfm.core.errors import DataError
from hepfm.core.ragged import Ragged
from hepfm.core.schema import Schema
from hepfm.data.columns import to_column
from hepfm.data.readers.base import sort_falling
from hepfm.data.readers.physics import particle_types
from hepfm.data.row_source import RowSource
from hepfm.data.table import NAME, Table
from hepfm.data.validate import SORTED_FALLING


def rows_of(events: Any, schema: Schema) -> RowSource:
    """Return rows in memory as a source: sorted by falling pt, without the slots of padding.

    Parameters
    ----------
    events
        A store or a table as it is; or a dict, a data frame, an Arrow table or an awkward array of records,
        with the fields of the schema by name. Under ``"jet"`` and ``"part"`` a dict may have awkward records
        instead, e.g. jets and constituents of NanoAOD: ``pt``, ``eta``, ``phi``, ``energy`` or ``mass``,
        ``charge`` and ``pdgId`` are taken, and others by name. Jets in lists of events become rows one after
        the other.
    schema
        Of a model.

    Raises
    ------
    DataError
        When values are not what the schema says.
    """
    if isinstance(events, RowSource):
        return events
    columns = {name: _unfolded(values, name, schema) for name, values in _named(events, schema).items()}
    if not columns:
        raise DataError(f"{NAME} has no field of the schema, which has: {', '.join(schema.names())}")
    columns = {
        name: to_column(values, name=name, ragged=schema.is_ragged(name), where=NAME)
        for name, values in columns.items()
    }
    for name in SORTED_FALLING:
        if isinstance(columns.get(name), Ragged):
            level = schema[name].level
            lists = {key: value for key, value in columns.items() if schema[key].level is level}
            columns |= sort_falling(lists, name)
    return Table.from_dict(columns, schema.having(columns))


def _named(events: Any, schema: Schema) -> dict[str, Any]:
    """Return what is there of the schema's fields, by their names."""
    if isinstance(events, pa.Table | pa.RecordBatch):
        return {name: events[name] for name in events.schema.names if name in schema}
    if isinstance(events, Mapping):
        found: dict[str, Any] = {}
        for name, values in events.items():
            if getattr(values, "fields", None):
                found |= dict(_of_records(values, name, schema))
            elif name in schema:
                found[name] = values
        return found
    if hasattr(events, "fields"):
        return {name: events[name] for name in events.fields if name in schema}
    if hasattr(events, "columns"):
        return {name: events[name].to_numpy() for name in map(str, events.columns) if name in schema}
    raise DataError(
        f"{NAME} is {type(events).__name__}; give a dict of columns, an awkward array, a data frame, an "
        "Arrow table or a store"
    )


def _of_records(records: Any, prefix: str, schema: Schema) -> Iterator[tuple[str, Any]]:
    """Yield the fields of records of a collection: of NanoAOD, vectors, or with the schema's own names."""
    for name in schema.names():
        kind, _, quantity = name.partition("_")
        if kind == prefix:
            value = _quantity(records, quantity)
            if value is not None:
                yield name, value


def _quantity(records: Any, quantity: str) -> Any:
    if quantity in records.fields:
        return records[quantity]
    if quantity == "energy" and {"pt", "eta", "mass"} <= set(records.fields):
        return np.sqrt((records.pt * np.cosh(records.eta)) ** 2 + records.mass**2)
    if quantity == "pid" and "pdgId" in records.fields:
        return _types(records.pdgId)
    # Computed ones of vectors.
    value = getattr(records, quantity, None)
    return value if hasattr(value, "ndim") else None


def _types(pdg: Any) -> Any:
    """Return particle types in lists like those of codes."""
    import awkward as ak

    counts = []
    while pdg.ndim > 1:
        counts.append(ak.num(pdg, axis=1))
        pdg = ak.flatten(pdg, axis=1)
    types = ak.Array(particle_types(np.asarray(pdg)))
    for count in reversed(counts):
        types = ak.unflatten(types, count)
    return types


def _unfolded(values: Any, name: str, schema: Schema) -> Any:
    """Return jets in lists of events one after the other."""
    depth = 2 if schema.is_ragged(name) else 1
    if type(values).__module__.partition(".")[0] != "awkward" or values.ndim != depth + 1:
        return values
    import awkward as ak

    return ak.flatten(values, axis=1)
