"""Random splits at ingest and afterwards, names of splits, and rows that come more than once."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hepfm.core.errors import DataError
from hepfm.core.ragged import Ragged, concatenate
from hepfm.core.rng import uniform_of
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.ingest import ingest
from hepfm.data.split_store import split_store
from hepfm.data.splits import SplitDraw, format_fractions, parse_fractions
from hepfm.data.store import Store
from hepfm.data.twins import check_twins, row_hashes
from hepfm.data.writer import write_store

THIRDS = {"train": 0.5, "val": 0.25, "test": 0.25}
MAP = {
    "fields": {name: name for name in ("part_pt", "part_eta", "part_phi", "part_energy")},
    "observers": ["number"],
}


def write_file(path: Path, numbers: Any, *, events: Any = None, empty: bool = False) -> Path:
    """Write jets that differ by their number, with one to four constituents or none."""
    rng_of = np.random.default_rng
    lists: dict[str, list[Any]] = {name: [] for name in MAP["fields"]}
    for number in numbers:
        rng = rng_of(int(number))
        length = 0 if empty else 1 + int(number) % 4
        pt = np.sort(rng.exponential(10, length))[::-1].astype(np.float32)
        eta, phi = rng.uniform(-1, 1, (2, length)).astype(np.float32)
        for name, values in zip(lists, (pt, eta, phi, 1.01 * pt * np.cosh(eta)), strict=True):
            lists[name].append(values)
    columns = {name: pa.array(values, pa.list_(pa.float32())) for name, values in lists.items()}
    columns["number"] = pa.array(np.asarray(numbers, np.int64))
    if events is not None:
        columns["event"] = pa.array(np.asarray(events, np.int64))
    pq.write_table(pa.table(columns), path)
    return path


def read(files: list[Any], output: Path, *, events: bool = False, **options: Any) -> Store:
    config = {**MAP, **({"group": "event"} if events else {})}
    return Store.open(ingest("mapping", files, output=output, options=config, **options))


def numbers_of(store: Store, field: str = "number") -> dict[str, list[int]]:
    return {
        name: store.read([field], rows)[field].astype(int).tolist() for name, rows in store.splits.items()
    }


def test_numbers_drawn_for_numbers() -> None:
    """A draw belongs to its number: not to the order, the number of others or the type."""
    drawn = uniform_of(np.arange(-500, 100_000), 3, "test")
    assert drawn.min() >= 0
    assert drawn.max() < 1
    np.testing.assert_allclose(np.histogram(drawn, 20, (0, 1))[0] / len(drawn), 0.05, atol=0.003)
    np.testing.assert_array_equal(
        uniform_of(np.array([7, -3, 7], np.int16), 3, "test"), drawn[[507, 497, 507]]
    )
    for seed, purpose in ((4, "test"), (3, "other")):
        other = uniform_of(np.arange(-500, 100_000), seed, purpose)
        assert abs(np.corrcoef(drawn, other)[0, 1]) < 0.02
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.02


def test_a_random_split_keeps_order_and_says_so(tmp_path: Path) -> None:
    files = [write_file(tmp_path / f"{k}.parquet", range(200 * k, 200 * (k + 1))) for k in range(2)]
    store = read(files, tmp_path / "s", split=THIRDS, seed=1)
    assert list(store.splits) == ["train", "val", "test"]
    numbers = numbers_of(store)
    assert sorted(itertools.chain(*numbers.values())) == list(range(400))
    assert all(found == sorted(found) for found in numbers.values())
    for name, fraction in THIRDS.items():
        assert abs(len(numbers[name]) - 400 * fraction) < 4 * (400 * fraction * (1 - fraction)) ** 0.5
    assert store.provenance["splits"] == [{"fractions": THIRDS, "seed": 1, "by": "row"}]
    assert [file["split"] for file in store.provenance["files"]] == [None, None]
    assert numbers_of(read(files, tmp_path / "other", split=THIRDS, seed=2)) != numbers


def test_the_split_does_not_depend_on_pieces_or_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = numbers_of(read([write_file(tmp_path / "a.parquet", range(90))], tmp_path / "a", split=THIRDS))
    monkeypatch.setattr("hepfm.data.tables.base.CHUNK_ROWS", 7)
    monkeypatch.setattr("hepfm.data.writer.SHARD_BYTES", 200)
    parts = [write_file(tmp_path / f"{k}.parquet", range(45 * k, 45 * (k + 1))) for k in range(2)]
    assert numbers_of(read(parts, tmp_path / "b", split=THIRDS)) == whole


def test_groups_are_never_torn(tmp_path: Path) -> None:
    events = np.random.default_rng(1).integers(0, 60, 300)
    store = read(
        [write_file(tmp_path / "a.parquet", range(300), events=events)],
        tmp_path / "s",
        events=True,
        split=THIRDS,
    )
    groups = numbers_of(store, store.schema.group)
    assert len(set().union(*groups.values())) == len(set(events.tolist()))
    assert sum(len(set(found)) for found in groups.values()) == len(set(events.tolist()))
    assert store.provenance["splits"][0]["by"] == store.schema.group
    order = np.concatenate([np.asarray(found) for found in numbers_of(store).values()])
    np.testing.assert_array_equal(np.concatenate(list(groups.values())), events[order])


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": 0.8, "test": 0.1}, r"train=0\.8,test=0\.1: the fractions sum to 0\.9, not to 1"),
        ({"train": 1.5, "test": -0.5}, "fraction of 'train' must be above 0 and at most 1"),
        ({"train": 0.0, "test": 1.0}, "fraction of 'train' must be above 0"),
        ({}, "without names: the fractions sum to 0"),
        ({"trian": 0.5, "test": 0.5}, "did you mean 'train'"),
        ({"train": 0.9999, "val": 0.0001}, "no row of 20 fell into the split 'val'.*another seed"),
    ],
)
def test_fractions_that_cannot_be(tmp_path: Path, split: dict[str, float], message: str) -> None:
    file = write_file(tmp_path / "a.parquet", range(20))
    with pytest.raises(DataError, match=message):
        read([file], tmp_path / "s", split=split)
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_with_its_own_split_is_not_drawn(tmp_path: Path) -> None:
    file = write_file(tmp_path / "a.parquet", range(20))
    with pytest.raises(DataError, match=r"test=.*a\.parquet names a split.*give one of both"):
        read([f"test={file}"], tmp_path / "s", split=THIRDS)


def test_a_store_is_split_as_its_files_would_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hepfm.data.split_store.CHUNK_ROWS", 17)
    file = write_file(tmp_path / "a.parquet", range(200))
    at_once = read([file], tmp_path / "a", split=THIRDS, seed=5)
    store = read([file], tmp_path / "b")
    later = Store.open(split_store(store, tmp_path / "c", split=THIRDS, seed=5))
    assert later.fingerprint == at_once.fingerprint
    assert {key: later.provenance[key] for key in store.provenance} == store.provenance
    assert later.provenance["splits"] == [
        {"fractions": THIRDS, "seed": 5, "by": "row", "of": None, "store_fingerprint": store.fingerprint}
    ]


def test_one_split_is_divided_and_the_others_stay(tmp_path: Path) -> None:
    events = np.arange(200) // 4
    files = [
        f"{name}={write_file(tmp_path / f'{name}.parquet', rows, events=events[rows])}"
        for name, rows in (("train", range(160)), ("test", range(160, 200)))
    ]
    store = read(files, tmp_path / "s", events=True)
    path = split_store(store, tmp_path / "t", split={"train": 0.75, "val": 0.25}, of="train")
    numbers = numbers_of(Store.open(path))
    assert list(numbers) == ["train", "val", "test"]
    assert numbers["test"] == list(range(160, 200))
    assert sorted(numbers["train"] + numbers["val"]) == list(range(160))
    assert 0 < len(numbers["val"]) < 80
    assert set(np.bincount(np.array(numbers["val"]) // 4)) == {0, 4}
    with pytest.raises(DataError, match="has a split 'test', which stays as it is"):
        split_store(path, tmp_path / "u", split={"train": 0.5, "test": 0.5}, of="train")
    with pytest.raises(DataError, match="no split 'trian'; did you mean 'train'"):
        split_store(path, tmp_path / "u", split={"train": 0.5, "val": 0.5}, of="trian")
    with pytest.raises(DataError, match="exists already"):
        split_store(path, tmp_path / "t", split=THIRDS)


def test_a_second_draw_of_groups_does_not_repeat_the_first(tmp_path: Path) -> None:
    """With the same number for a group, all of train would fall below a second, higher bound."""
    events = np.arange(400) // 2
    file = write_file(tmp_path / "a.parquet", range(400), events=events)
    first = read([file], tmp_path / "s", events=True, split={"train": 0.5, "test": 0.5})
    path = split_store(first, tmp_path / "t", split={"train": 0.5, "val": 0.5}, of="train")
    sizes = {name: len(rows) for name, rows in Store.open(path).splits.items()}
    assert abs(sizes["val"] / (sizes["val"] + sizes["train"]) - 0.5) < 0.2


def test_fractions_as_text() -> None:
    assert parse_fractions("train=0.8, val=.1,test=1e-1") == {"train": 0.8, "val": 0.1, "test": 0.1}
    assert parse_fractions(format_fractions(THIRDS)) == THIRDS
    assert SplitDraw({"train": 0.7, "val": 0.2, "test": 0.1}).names == ("train", "val", "test")
    for text in ("train", "train=x", "=1", "train=nan", "train=0.5,train=0.5", ""):
        with pytest.raises(DataError, match=r"write it as train=0\.8"):
            parse_fractions(text)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trian", "did you mean 'train'"),
        ("Train", "did you mean 'train'"),
        ("training", "did you mean 'train'"),
        ("valid", "did you mean 'val'"),
        ("validation", "did you mean 'val'"),
        ("tests", r"did you mean 'test'\? .* e\.g\. test_2"),
        ("Test_2", "did you mean 'test'"),
        ("Odd", "small letters, digits and _"),
        ("", "small letters, digits and _"),
    ],
)
def test_names_of_splits_that_are_refused(tmp_path: Path, name: str, message: str) -> None:
    file = write_file(tmp_path / "a.parquet", range(5))
    with pytest.raises(DataError, match=message):
        read([f"{name}={file}"], tmp_path / "s")


@pytest.mark.parametrize("name", ["test_high_pt", "herwig", "train_2"])
def test_names_of_splits_that_are_taken_with_a_message(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = write_file(tmp_path / "a.parquet", range(5))
    with caplog.at_level(logging.INFO, "hepfm"):
        store = read([f"{name}={file}"], tmp_path / "s")
    assert list(store.splits) == [name]
    assert f"split {name}: a name of your own" in caplog.text


def test_the_same_row_in_two_splits_is_refused_with_both_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hepfm.data.tables.base.CHUNK_ROWS", 7)
    train = write_file(tmp_path / "a.parquet", range(50))
    test = write_file(tmp_path / "b.parquet", [*range(60, 70), 33, *range(80, 90), 34])
    message = (
        r"two splits: row 3[34] of \S*a\.parquet in 'train' and row (10|21) of \S*b\.parquet in 'test', "
        "and 1 more;.*--allow-shared"
    )
    with pytest.raises(DataError, match=message):
        read([train, f"test={test}"], tmp_path / "s")
    assert not (tmp_path / "s").exists()
    store = read([train, f"test={test}"], tmp_path / "s", allow_shared=True)
    assert "the same row is in two splits" in caplog.text
    assert check_twins(store) == 2
    one_split = read([train, test], tmp_path / "t")
    assert list(one_split.splits) == ["train"]


def test_a_store_with_shared_rows_is_found_by_check(tmp_path: Path) -> None:
    store = read([write_file(tmp_path / "a.parquet", range(30))], tmp_path / "s")
    columns = store.read(store.schema.names())
    parts = [("train", columns), ("test", store.read(store.schema.names(), range(12, 13)))]
    twice = Store.open(write_store(tmp_path / "t", store.schema, parts, provenance={}))
    with pytest.raises(DataError, match=r"row 12 of \S*t in 'train' and row 30 of \S*t in 'test'; a test"):
        check_twins(twice)
    assert check_twins(store) == 0


def test_copies_within_a_split_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read([write_file(tmp_path / "a.parquet", [1, 2, 3, 2, 1, 2])], tmp_path / "s")
    assert "3 of 6 rows of split 'train' are copies of others in it, e.g. " in caplog.text


def test_rows_without_constituents_are_no_copies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [
        write_file(tmp_path / f"{name}.parquet", [k, k + 2], empty=True)
        for k, name in enumerate(("train", "test"))
    ]
    files = [f"{file.stem}={file}" for file in files]
    assert read(files, tmp_path / "s").num_rows == 4
    assert "copies" not in caplog.text


def row(**changes: Any) -> dict[str, Any]:
    lists = {"part_pt": [[3.0, 2.0, 0.0]], "part_eta": [[1.0, 0.0, 5.0]], "part_pid": [[1, 2, 0]]}
    flat = {"jet_pt": [5.0], "jet_label": [0], "event": [1]}
    columns: dict[str, Any] = {
        name: Ragged.from_lists(values, np.float32)
        for name, values in {**lists, **changes}.items()
        if name in lists
    }
    return columns | {
        name: np.asarray(values) for name, values in {**flat, **changes}.items() if name in flat
    }


ROW_SCHEMA = Schema(
    (
        *(Field(name, Level.CONSTITUENT) for name in ("part_pt", "part_eta")),
        Field("part_pid", Level.CONSTITUENT, Kind.CATEGORICAL, dtype="int8", classes=("a", "b", "c")),
        Field("jet_pt", Level.OBJECT),
        Field("jet_label", Level.OBJECT, Kind.CATEGORICAL, dtype="int8", classes=("x", "y")),
        Field("event", Level.OBJECT, Kind.COUNT, dtype="int64"),
    ),
    label="jet_label",
    group="event",
)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"jet_label": [1]}, True),
        ({"event": [2]}, True),
        ({"jet_pt": [6.0]}, True),
        ({"part_eta": [[1.0, -0.0, 5.0]]}, True),
        ({"part_pt": [[2.0, 3.0, 0.0]], "part_eta": [[0.0, 1.0, 5.0]], "part_pid": [[2, 1, 0]]}, True),
        ({"part_pt": [[2.0, 3.0, 0.0]]}, False),
        ({"part_pid": [[1, 1, 0]]}, False),
        ({"part_eta": [[1.0, 0.0, np.nextafter(np.float32(5), 6)]]}, False),
        ({"part_pt": [[3.0, 2.0]], "part_eta": [[1.0, 0.0]], "part_pid": [[1, 2]]}, False),
    ],
)
def test_what_makes_rows_the_same(changes: dict[str, Any], same: bool) -> None:
    one, other = row_hashes(row(), ROW_SCHEMA), row_hashes(row(**changes), ROW_SCHEMA)
    assert (one == other).tolist() == [same]
    both = concatenate([row(), row(**changes), row()])
    np.testing.assert_array_equal(row_hashes(both, ROW_SCHEMA), np.concatenate([one, other, one]))


def test_rows_without_lists_are_compared_by_their_numbers() -> None:
    schema = ROW_SCHEMA.having(["jet_pt", "jet_label", "event"])
    columns = {"jet_pt": np.array([1.0, 1.0, 2.0]), "jet_label": np.array([0, 1, 1]), "event": np.arange(3)}
    first, second, third = row_hashes(columns, schema)
    assert first == second != third
    assert not row_hashes(columns, schema.having(["jet_label", "event"])).any()
