"""Tables: what is read from memory is what would be read from a store of the same rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data import feature_set
from hepfm.data.content import Content
from hepfm.data.loader import EvalLoader, TrainLoader
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store, open_rows
from hepfm.data.table import Table
from hepfm.data.weights import weighed
from hepfm.data.writer import write_store

ALL = jet_schema(JETCLASS_CLASSES)


def as_lists(columns: dict[str, Array | Ragged]) -> dict[str, Any]:
    return {
        name: [column.row(row) for row in range(len(column))] if isinstance(column, Ragged) else column
        for name, column in columns.items()
    }


def from_awkward(columns: dict[str, Array | Ragged], schema: Schema) -> Table:
    ak = pytest.importorskip("awkward")
    fields = {
        name: ak.unflatten(column.values, column.lengths) if isinstance(column, Ragged) else column
        for name, column in columns.items()
    }
    return Table.from_awkward(ak.zip(fields, depth_limit=1), schema)


def arrow(columns: dict[str, Array | Ragged]) -> pa.Table:
    return pa.table({name: pa.array(list(values)) for name, values in as_lists(columns).items()})


BUILDERS: dict[str, Callable[[Any, Schema], Table]] = {
    "dict": lambda columns, schema: Table.from_dict(columns, schema),
    "lists": lambda columns, schema: Table.from_dict(as_lists(columns), schema),
    "awkward": from_awkward,
    "pandas": lambda columns, schema: Table.from_pandas(pd.DataFrame(as_lists(columns)), schema),
    "arrow": lambda columns, schema: Table.from_arrow(arrow(columns), schema),
    "record batch": lambda columns, schema: Table.from_arrow(arrow(columns).to_batches()[0], schema),
    "arrow in chunks": lambda columns, schema: Table.from_arrow(
        pa.concat_tables([arrow(columns)[:7], arrow(columns)[7:]]), schema
    ),
}


def assert_same(found: dict[str, Array | Ragged], expected: dict[str, Array | Ragged]) -> None:
    assert list(found) == list(expected)
    for name, column in expected.items():
        other = found[name]
        if isinstance(column, Ragged):
            assert isinstance(other, Ragged)
            np.testing.assert_array_equal(other.offsets, column.offsets)
            assert other.values.dtype == column.values.dtype
            np.testing.assert_array_equal(other.values, column.values)
        else:
            assert np.asarray(other).dtype == np.asarray(column).dtype
            np.testing.assert_array_equal(other, column)


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize(
    "rows", [None, slice(3, 9), range(2, 5), [5, 0, 5], np.array([19]), [], range(0)], ids=str
)
def test_a_table_reads_as_a_store_does(
    tmp_path: Path, jet_columns: Any, build: Callable[[Any, Schema], Table], rows: Any
) -> None:
    """Whatever it was built from; row 4 has no constituents."""
    lengths = np.arange(20) % 7
    columns = jet_columns(20, lengths=np.where(np.arange(20) == 4, 0, lengths))
    store = Store.open(write_store(tmp_path / "store", ALL, [("test", columns)], provenance={}))
    table = build(columns, ALL)
    assert (len(table), table.splits) == (len(store), store.splits)
    assert_same(table.read(ALL.names(), rows), store.read(ALL.names(), rows))
    np.testing.assert_array_equal(table.lengths("constituent", rows), store.lengths("constituent", rows))


def test_splits_and_unknown_names_are_those_of_a_store(jet_store: Store, jet_columns: Any) -> None:
    table = Table(
        ALL, {name: jet_columns(n, seed=seed) for name, n, seed in [("train", 600, 1), ("val", 200, 2)]}
    )
    assert table.split("val") == jet_store.split("val")
    names = ["jet_label", "part_pt"]
    assert_same(table.read(names, table.split("val")), jet_store.read(names, jet_store.split("val")))
    with pytest.raises(DataError, match=r"the table in memory has no split 'vla'; did you mean 'val'"):
        table.split("vla")
    with pytest.raises(DataError, match="did you mean 'jet_pt'"):
        table.read(["jet_tp"])
    with pytest.raises(DataError, match="rows 0 to 800 asked for, the table in memory has 800"):
        table.read(["jet_pt"], [0, 800])


def test_loaders_give_the_same_batches(jet_store: Store, jet_columns: Any) -> None:
    parts = {
        "train": jet_columns(600, seed=1),
        "val": jet_columns(200, seed=2),
        "test": jet_columns(200, seed=3),
    }
    table, content = Table(jet_store.schema, parts), Content(feature_set("full"), ("jet_label",), "jet_pt")
    loaders = [EvalLoader(source, content, rows=None, batch_size=64) for source in (table, jet_store)]
    endless = [
        TrainLoader(source, content, rows=range(600), batch_size=64, seed=1) for source in (table, jet_store)
    ]
    pairs = [
        *zip(*loaders, strict=True),
        *(pair for pair, _ in zip(zip(*endless, strict=True), range(12), strict=False)),
    ]
    assert len(pairs) == 28
    for mine, stored in pairs:
        assert torch.equal(mine.rows_B, stored.rows_B)
        assert torch.equal(mine.features_BNF, stored.features_BNF)
        assert mine.p4_BN4 is not None
        assert torch.equal(mine.p4_BN4, stored.p4_BN4)
        assert torch.equal(mine.labels["jet_label"], stored.labels["jet_label"])
        assert torch.equal(mine.weights_B, stored.weights_B)


def test_reading_gives_copies(jet_columns: Any) -> None:
    columns = jet_columns(5)
    table = Table.from_dict(columns, ALL)
    before = table.fingerprint
    np.asarray(columns["jet_pt"])[:] = 0
    np.asarray(table.read(["jet_pt"])["jet_pt"])[:] = 0
    assert table.fingerprint == before
    assert (np.asarray(table.read(["jet_pt"])["jet_pt"]) > 0).all()


def test_fingerprint_follows_contents_schema_and_splits(jet_columns: Any) -> None:
    columns = jet_columns(6)
    table = Table.from_dict(columns, ALL)
    half = {
        name: column.take(np.arange(3)) if isinstance(column, Ragged) else column[:3]
        for name, column in columns.items()
    }
    other = [
        Table.from_dict({**columns, "jet_pt": np.asarray(columns["jet_pt"]) * 2}, ALL),
        Table.from_dict(columns, ALL, split="train"),
        Table.from_dict(half, ALL),
        weighed(table, "jet_pt"),
        Table.from_dict(columns, ALL.having(name for name in ALL.names() if name != "jet_tau4")),
    ]
    assert len({table.fingerprint, *(one.fingerprint for one in other)}) == 6
    assert Table.from_dict(as_lists(columns), ALL).fingerprint == table.fingerprint


def test_the_role_of_a_weight_can_be_given_to_a_field(jet_columns: Any) -> None:
    table = Table.from_dict(jet_columns(6), ALL)
    assert weighed(table, "jet_pt").schema.weight == "jet_pt"
    assert weighed(table, None) is table


def test_a_source_is_opened_once(jet_store: Store, jet_columns: Any) -> None:
    table = Table.from_dict(jet_columns(3), ALL)
    assert open_rows(table) is table
    assert open_rows(jet_store.path).fingerprint == jet_store.fingerprint


SMALL = Schema(
    (
        Field("jet_pt", Level.OBJECT, unit="GeV"),
        Field("jet_label", Level.OBJECT, Kind.CATEGORICAL, dtype="int16", classes=("QCD", "top")),
        Field("part_pt", Level.CONSTITUENT, unit="GeV"),
    ),
    label="jet_label",
)
GOOD: dict[str, Any] = {"jet_pt": [3.0, 2.0], "jet_label": [0, 1], "part_pt": [[2.0, 1.0], [2.0]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"jet_label": ["QCD", "top"]},
            "field 'jet_label' must hold numbers, got string; classes are given by",
        ),
        ({"jet_label": [0, 2]}, r"field 'jet_label', row 1: 2 must be a class number from 0 to 1"),
        ({"jet_label": [0.0, 1.0]}, "field 'jet_label' holds int16, got float64"),
        ({"jet_pt": [3.0, None]}, "field 'jet_pt' has 1 missing values, the first at place 1"),
        ({"part_pt": [[2.0, None], [1.0]]}, "field 'part_pt' has 1 missing values"),
        ({"part_pt": [[2.0], None]}, "field 'part_pt' has 1 missing values, the first at place 1"),
        ({"jet_pt": np.array([3.0, np.nan])}, "field 'jet_pt', row 1: nan must be finite"),
        ({"jet_pt": [[3.0], [2.0]]}, r"field 'jet_pt' must hold one number a row, got values of type list"),
        (
            {"part_pt": [2.0, 1.0]},
            "field 'part_pt' must hold a list of numbers a row, got values of type double",
        ),
        (
            {"part_pt": np.ones(2)},
            r"field 'part_pt' must hold a list of numbers a row, got an array of shape \(2,\)",
        ),
        ({"part_pt": [[1.0, 2.0], [2.0]]}, "constituents of row 0 are not in falling order of part_pt"),
        ({"jet_pt": [3.0]}, "columns with different numbers of rows"),
        ({"jet_pt": [3.0, "x"]}, "field 'jet_pt' cannot be read as numbers"),
        ({"part_pt": [[[1.0]], [[2.0]]]}, "field 'part_pt' must hold numbers, got list"),
    ],
)
def test_wrong_columns_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Table.from_dict({**GOOD, **change}, SMALL, name="my jets")


def test_missing_fields_are_named_and_others_left_out() -> None:
    with pytest.raises(
        DataError, match="my jets, split test: fields of the schema without a column: jet_label"
    ):
        Table.from_dict({name: GOOD[name] for name in ("jet_pt", "part_pt")}, SMALL, name="my jets")
    assert Table.from_dict({**GOOD, "run": ["a", "b"]}, SMALL).schema == SMALL


def test_the_part_of_a_schema_that_data_have() -> None:
    part = SMALL.having(["jet_pt", "part_pt", "run"])
    assert (part.names(), part.label) == (("jet_pt", "part_pt"), None)
    assert SMALL.having(GOOD) == SMALL
    assert len(Table.from_dict(GOOD, part)) == 2


def test_rows_without_any_entry() -> None:
    table = Table.from_dict({"jet_pt": [1.0, 2.0], "jet_label": [0, 0], "part_pt": [[], []]}, SMALL)
    assert table.lengths("constituent").tolist() == [0, 0]
    none = Table.from_dict({"jet_pt": [], "jet_label": np.zeros(0, np.int16), "part_pt": []}, SMALL)
    assert len(none) == 0
    assert none.lengths("constituent").tolist() == []
    regular = Table.from_dict({**GOOD, "part_pt": np.array([[2.0, 1.0], [4.0, 3.0]])}, SMALL)
    assert regular.lengths("constituent").tolist() == [2, 2]
