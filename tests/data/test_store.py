"""Stores: what is written is read back; nothing damaged, half-written or wrong gets through."""

from __future__ import annotations

import errno
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepfm.core.errors import DataError, HepfmError
from hepfm.core.ragged import Columns, Ragged, take_rows
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import StoreWriter, write_store

SCHEMA = jet_schema(JETCLASS_CLASSES)
EVENTS = Schema(
    (
        Field("met", Level.EVENT, unit="GeV"),
        Field("triggered", Level.EVENT, Kind.FLAG, dtype="bool"),
        Field("process", Level.EVENT, Kind.CATEGORICAL, dtype="int8", classes=("ttbar", "Z")),
        Field("jet_pt", Level.OBJECT, unit="GeV"),
        Field("jet_b", Level.OBJECT, Kind.FLAG, dtype="bool"),
        Field("hit_energy", Level.HIT, unit="GeV"),
        Field("hit_layer", Level.HIT, Kind.COUNT, dtype="int32"),
    ),
    Level.EVENT,
    "process",
)


class Written:
    """A store and what was written into it (a plain class, so that hypothesis prints it short)."""

    def __init__(self, store: Store, columns: dict[str, Any]) -> None:
        self.store, self.columns = store, columns


def assert_same(found: Columns, expected: Columns) -> None:
    assert set(found) == set(expected)
    for name, column in expected.items():
        other = found[name]
        if isinstance(column, Ragged):
            assert isinstance(other, Ragged)
            np.testing.assert_array_equal(other.offsets, column.offsets)
            column, other = column.values, other.values
        np.testing.assert_array_equal(other, column)
        assert other.dtype == column.dtype, name


def events(rng: np.random.Generator, count: int) -> dict[str, Any]:
    jets, hits = rng.poisson(2, count), rng.poisson(9, count)
    return {
        "met": rng.exponential(20, count).astype(np.float32),
        "triggered": rng.random(count) < 0.5,
        "process": rng.integers(0, 2, count).astype(np.int8),
        "jet_pt": Ragged.from_lengths(rng.exponential(30, jets.sum()).astype(np.float32), jets),
        "jet_b": Ragged.from_lengths(rng.random(jets.sum()) < 0.2, jets),
        "hit_energy": Ragged.from_lengths(rng.exponential(1, hits.sum()).astype(np.float32), hits),
        "hit_layer": Ragged.from_lengths(rng.integers(0, 45, hits.sum()).astype(np.int32), hits),
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, jet_columns: Any) -> Written:
    """A store of several shards, and what was written."""
    path = tmp_path_factory.mktemp("small") / "store"
    columns = jet_columns(300, lengths=np.arange(300) % 40)
    with StoreWriter(path, SCHEMA, provenance={"seed": 0}, shard_bytes=100_000) as writer:
        writer.write(columns, split="train")
    store = Store.open(path)
    assert len(store.manifest.shards) > 2
    return Written(store, columns)


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(st.integers(0, 299), max_size=50))
def test_any_rows_in_any_order(small: Written, rows: list[int]) -> None:
    store, columns = small.store, small.columns
    assert_same(store.read(SCHEMA.names(), rows), take_rows(columns, np.asarray(rows, np.int64)))


@settings(deadline=None, max_examples=40)
@given(start=st.integers(0, 300), stop=st.integers(0, 300))
def test_ranges_and_slices(small: Written, start: int, stop: int) -> None:
    store, columns = small.store, small.columns
    expected = take_rows(columns, np.arange(start, stop))
    assert_same(store.read(SCHEMA.names(), range(start, max(start, stop))), expected)
    assert_same(store.read(SCHEMA.names(), slice(start, stop)), expected)


def test_everything_is_there(small: Written) -> None:
    store, columns = small.store, small.columns
    assert_same(store.read(SCHEMA.names()), columns)
    assert store.splits == {"train": range(300)}
    assert [shard.file for shard in store.verify()] == [shard.file for shard in store.manifest.shards]
    np.testing.assert_array_equal(store.lengths("constituent", range(45)), np.arange(45) % 40)


def test_splits_written_in_turns_are_contiguous(tmp_path: Path, jet_columns: Any) -> None:
    with StoreWriter(tmp_path / "s", SCHEMA, provenance={}, shard_bytes=20_000) as writer:
        for seed in range(6):
            writer.write(jet_columns(20, seed=seed), split="train" if seed % 2 else "test")
    store = Store.open(tmp_path / "s")
    assert {name: len(rows) for name, rows in store.splits.items()} == {"test": 60, "train": 60}
    expected = [jet_columns(20, seed=seed)["jet_pt"] for seed in (1, 3, 5)]
    np.testing.assert_array_equal(
        store.read(["jet_pt"], store.split("train"))["jet_pt"], np.concatenate(expected)
    )


def test_events_with_two_levels_of_lists(tmp_path: Path) -> None:
    columns = events(np.random.Generator(np.random.PCG64(3)), 200)
    store = Store.open(write_store(tmp_path / "events", EVENTS, [("train", columns)], provenance={}))
    assert_same(store.read(EVENTS.names()), columns)
    assert_same(store.read(EVENTS.names(), [7, 3]), take_rows(columns, np.array([7, 3])))
    assert store.schema == EVENTS
    assert (store.lengths("object") != store.lengths("hit")).any()


def test_other_libraries_open_the_shards(jet_store: Store) -> None:
    path = jet_store.path / jet_store.manifest.shards[0].file
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    array = ak.from_arrow(table)
    expected = jet_store.read(["part_pt"], jet_store.split("train"))["part_pt"]
    assert isinstance(expected, Ragged)
    np.testing.assert_array_equal(ak.to_numpy(ak.flatten(array.part_pt)), expected.values)
    assert table.schema.field("part_pt").metadata[b"unit"] == b"GeV"


def test_polars_opens_the_shards(jet_store: Store) -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = polars.read_ipc(jet_store.path / jet_store.manifest.shards[0].file)
    np.testing.assert_array_equal(
        frame["jet_pt"].to_numpy(), jet_store.read(["jet_pt"], range(600))["jet_pt"]
    )


def test_pandas_opens_the_shards(jet_store: Store) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    path = jet_store.path / jet_store.manifest.shards[0].file
    frame = pa.ipc.open_file(pa.memory_map(str(path))).read_pandas()
    np.testing.assert_array_equal(frame["jet_pt"], jet_store.read(["jet_pt"], range(600))["jet_pt"])


def test_same_data_same_fingerprint(tmp_path: Path, jet_columns: Any) -> None:
    def make(name: str, seed: int, note: str) -> str:
        parts = [("train", jet_columns(30, seed=seed))]
        return Store.open(write_store(tmp_path / name, SCHEMA, parts, provenance={"note": note})).fingerprint

    assert make("a", 1, "x") == make("b", 1, "y") != make("c", 2, "x")


def test_pickle_opens_again(jet_store: Store) -> None:
    copy = pickle.loads(pickle.dumps(jet_store))
    assert_same(copy.read(["jet_pt"], range(5)), jet_store.read(["jet_pt"], range(5)))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("rows", [None, [5, 3, 299], range(20, 280)])
def test_reading_leaves_nothing_resident(small: Written, rows: Any) -> None:
    small.store.read(SCHEMA.names(), rows)
    for _ in range(5):  # the kernel's list is no snapshot: an entry may be missed while others change
        resident, of_store = [], False
        for line in Path("/proc/self/smaps").read_text().splitlines():
            of_store = str(small.store.path) in line if "-" in line.split(" ")[0] else of_store
            if of_store and line.startswith("Rss:"):
                resident.append(int(line.split()[1]))
        if len(resident) == len(small.store.manifest.shards):
            break
    assert len(resident) == len(small.store.manifest.shards)
    assert sum(resident) == 0


def test_empty_store(tmp_path: Path) -> None:
    store = Store.open(write_store(tmp_path / "empty", SCHEMA, [], provenance={}))
    assert store.num_rows == 0
    assert store.splits == {}
    assert len(store.read(["part_pt"])["part_pt"]) == 0


def test_nothing_but_the_store_is_left(small: Written) -> None:
    assert [path.name for path in small.store.path.parent.iterdir()] == ["store"]


# --- bad input on writing ------------------------------------------------------------------------


def spoil(name: str, index: int, value: float) -> Callable[[dict[str, Any]], None]:
    def change(columns: dict[str, Any]) -> None:
        column = columns[name]
        (column.values if isinstance(column, Ragged) else column)[index] = value

    return change


def replace(name: str, value: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    def change(columns: dict[str, Any]) -> None:
        columns[name] = value(columns[name])

    return change


BAD_COLUMNS = {
    "nan": (spoil("part_d0", 9, np.nan), r"'part_d0', row 0, constituent 9: nan must be finite"),
    "inf": (spoil("jet_pt", 3, np.inf), r"'jet_pt', row 3: inf must be finite"),
    "inf after the cast": (replace("jet_pt", lambda x: x.astype(np.float64) * 1e39), "must be finite"),
    "unknown class": (
        spoil("jet_label", 2, 10),
        r"'jet_label', row 2: 10 must be a class number",
    ),
    "negative class": (spoil("part_pid", 0, -1), "must be a class number from 0 to 5"),
    "angle": (spoil("jet_phi", 1, 4.0), r"'jet_phi', row 1: 4.0 must be an angle"),
    "order of pt": (spoil("part_pt", 1, 1e5), "constituents of row 0 are not in falling order"),
    "missing field": (lambda columns: columns.pop("jet_tau2"), "without a column: jet_tau2"),
    "row count": (replace("jet_pt", lambda x: x[:-1]), "different numbers of rows"),
    "flat lists": (replace("part_d0", lambda x: x.values[:20]), r"'part_d0' \(constituent\) must hold lists"),
    "lists in a row field": (
        lambda columns: columns.update(jet_pt=columns["part_pt"]),
        r"'jet_pt' \(object\) must hold one value",
    ),
    "list lengths": (
        replace("part_dz", lambda x: Ragged.from_lengths(x.values, np.roll(x.lengths, 1))),
        "'part_dz' and 'part_pt' differ in length",
    ),
    "offsets": (replace("part_dz", lambda x: Ragged(x.values[:-1], x.offsets)), "offsets of 'part_dz'"),
    "fractions in a class": (
        replace("jet_label", lambda x: x + 0.5),
        "'jet_label' holds int16, got float",
    ),
    "overflow": (replace("jet_label", lambda x: x.astype(np.int64) + 70000), "do not fit into int16"),
}


@pytest.mark.parametrize("case", BAD_COLUMNS)
def test_bad_columns_are_refused_and_nothing_is_left(tmp_path: Path, jet_columns: Any, case: str) -> None:
    change, message = BAD_COLUMNS[case]
    columns = jet_columns(20, seed=1)
    change(columns)
    with (
        pytest.raises(DataError, match=message),
        StoreWriter(tmp_path / "s", SCHEMA, provenance={}) as writer,
    ):
        writer.write(columns)
    assert list(tmp_path.iterdir()) == []


def test_unknown_field_is_refused(tmp_path: Path, jet_columns: Any) -> None:
    columns = {**jet_columns(5), "jet_pt_": np.ones(5)}
    with pytest.raises(DataError, match="no field 'jet_pt_' in the schema; did you mean 'jet_pt'"):
        write_store(tmp_path / "s", SCHEMA, [("train", columns)], provenance={})


def test_bad_split_name(tmp_path: Path, jet_columns: Any) -> None:
    with pytest.raises(DataError, match=r"split '\.\./x'"):
        write_store(tmp_path / "s", SCHEMA, [("../x", jet_columns(5))], provenance={})


def test_existing_store_is_kept_unless_told(tmp_path: Path, jet_columns: Any) -> None:
    path = write_store(tmp_path / "s", SCHEMA, [("train", jet_columns(5))], provenance={})
    with pytest.raises(DataError, match="exists already"):
        StoreWriter(path, SCHEMA, provenance={})
    bad = jet_columns(5)
    bad["jet_pt"][0] = np.nan
    with (
        pytest.raises(DataError, match="finite"),
        StoreWriter(path, SCHEMA, provenance={}, overwrite=True) as writer,
    ):
        writer.write(bad)
    assert Store.open(path).num_rows == 5
    with StoreWriter(path, SCHEMA, provenance={}, overwrite=True) as writer:
        writer.write(jet_columns(7))
    assert Store.open(path).num_rows == 7


def test_other_folders_are_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="exists already"):
        StoreWriter(tmp_path, SCHEMA, provenance={}, overwrite=True)


def test_full_disk(tmp_path: Path, jet_columns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_store(tmp_path / "s", SCHEMA, [("train", jet_columns(5))], provenance={})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("hepfm.data.writer.write_shard", full)
    with (
        pytest.raises(HepfmError, match="no room left on the disk"),
        StoreWriter(path, SCHEMA, provenance={}, overwrite=True) as writer,
    ):
        writer.write(jet_columns(50))
    assert Store.open(path).num_rows == 5
    assert [file.name for file in tmp_path.iterdir()] == ["s"]


def test_kill_between_shard_and_manifest_shows_nothing(tmp_path: Path) -> None:
    code = f"""
import os, signal
import numpy as np
import hepfm.data.writer as writer
from hepfm.core.schema import Field, Level, Schema
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
writer.write_json = die
schema = Schema((Field("x", Level.EVENT),), Level.EVENT)
with writer.StoreWriter({str(tmp_path / "s")!r}, schema, provenance={{}}) as out:
    out.write({{"x": np.ones(3)}})
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    left = list(tmp_path.iterdir())
    assert [path.name.startswith(".partial-s") for path in left] == [True]
    assert [path.name for path in (left[0] / "s").iterdir()] == ["train-00000.arrow"]
    with pytest.raises(DataError, match="no store at"):
        Store.open(tmp_path / "s")
    with pytest.raises(DataError, match=r"has no manifest\.json"):
        Store.open(left[0])
    write_store(tmp_path / "s", Schema((Field("x", Level.EVENT),), Level.EVENT), [], provenance={})
    assert [path.name for path in tmp_path.iterdir()] == ["s"]  # the next call cleans up


# --- bad stores ----------------------------------------------------------------------------------


@pytest.fixture
def broken(tmp_path: Path, jet_columns: Any) -> Path:
    """A store to damage."""
    return write_store(tmp_path / "broken", SCHEMA, [("train", jet_columns(50))], provenance={})


def edit_manifest(path: Path, **changes: object) -> None:
    file = path / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_missing_shard(broken: Path) -> None:
    (broken / "train-00000.arrow").unlink()
    with pytest.raises(DataError, match=r"lacks its file .*train-00000.arrow"):
        Store.open(broken)


def test_truncated_shard(broken: Path) -> None:
    file = broken / "train-00000.arrow"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(DataError, match="truncated or altered"):
        Store.open(broken)


def test_changed_byte_in_the_data_is_found_by_verify(broken: Path) -> None:
    file = broken / "train-00000.arrow"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match="SHA-256 is not the manifest's"):
        list(Store.open(broken).verify())


def test_overwritten_structure_is_found_on_reading(broken: Path) -> None:
    file = broken / "train-00000.arrow"
    data = bytearray(file.read_bytes())
    data[-300:] = bytes(300)
    file.write_bytes(data)
    with pytest.raises(DataError, match="hepfm data check"):
        Store.open(broken).read(["jet_pt"])


def test_shard_of_another_schema(broken: Path) -> None:
    values = json.loads((broken / "manifest.json").read_text())
    values["schema"]["fields"][0]["dtype"] = "float64"
    edit_manifest(broken, schema=values["schema"])
    with pytest.raises(DataError, match="not what its manifest says"):
        Store.open(broken).read(["jet_pt"])


def test_newer_format(broken: Path) -> None:
    edit_manifest(broken, format_version=99)
    with pytest.raises(DataError, match=r"format version 99.*upgrade hepfm"):
        Store.open(broken)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "zip"}, "is not the manifest of a store"),
        ({"num_rows": 51}, "says 51 rows, its shards have 50"),
        ({"shards": [{"file": "x"}]}, "is damaged"),
        ({"schema": {"fields": 3}}, "not a schema"),
    ],
)
def test_bad_manifest(broken: Path, changes: dict[str, object], message: str) -> None:
    edit_manifest(broken, **changes)
    with pytest.raises(DataError, match=message):
        Store.open(broken)


def test_manifest_that_is_no_json(broken: Path) -> None:
    (broken / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        Store.open(broken)


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no store at .* make one with"):
        Store.open(tmp_path / "nothing")


def test_unknown_names(jet_store: Store) -> None:
    with pytest.raises(DataError, match=r"no field 'jet_ptt'.*did you mean 'jet_pt'"):
        jet_store.read(["jet_ptt"])
    with pytest.raises(DataError, match="no split 'trian'; did you mean 'train'"):
        jet_store.split("trian")
    with pytest.raises(DataError, match="no lists of level 'hit'"):
        jet_store.lengths("hit")


@pytest.mark.parametrize("rows", [[1000], [-1], range(990, 1001), [0.5]])
def test_rows_that_are_not_there(jet_store: Store, rows: Any) -> None:
    with pytest.raises(DataError, match="rows"):
        jet_store.read(["jet_pt"], rows)


# -- many files, names and links


def test_more_files_than_descriptors(tmp_path: Path) -> None:
    schema = Schema((Field("x", Level.EVENT),), Level.EVENT)
    with StoreWriter(tmp_path / "s", schema, provenance={}, shard_bytes=64) as writer:
        for number in range(150):
            writer.write({"x": np.full(16, number, np.float32)})
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 30, limits[1]))
    try:
        stores = [Store.open(tmp_path / "s") for _ in range(3)]
        assert len(stores[0].manifest.shards) == 150
        rows = np.random.default_rng(1).permutation(150 * 16)
        for store in stores:
            np.testing.assert_array_equal(store.read(["x"], rows)["x"], rows // 16)
        assert len(list(stores[0].verify())) == 150
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def change_manifest(store: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = store / "manifest.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize("name", ["../secret.arrow", "/etc/passwd", "a/b.arrow", "..", ""])
def test_names_that_leave_the_store(broken: Path, name: str) -> None:
    (broken.parent / "secret.arrow").write_bytes((broken / "train-00000.arrow").read_bytes())
    change_manifest(broken, lambda values: values["shards"][0].update(file=name))
    with pytest.raises(DataError, match="plain name of a file"):
        Store.open(broken)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
@pytest.mark.parametrize("name", ["manifest.json", "train-00000.arrow"])
def test_links_out_of_the_store_and_pipes_are_not_opened(broken: Path, name: str, kind: str) -> None:
    secret = broken.parent / "secret"
    (broken / name).rename(secret)
    if kind == "link":
        (broken / name).symlink_to(secret)
    elif kind == "pipe":
        os.mkfifo(broken / name)
    else:
        (broken / name).mkdir()
    with pytest.raises(DataError, match=r"link out of its folder|not a file"):
        Store.open(broken)


def test_links_within_the_store_are_followed(broken: Path) -> None:
    (broken / "train-00000.arrow").rename(broken / "elsewhere")
    (broken / "train-00000.arrow").symlink_to("elsewhere")
    list(Store.open(broken).verify())


ODD = [None, True, 3, -1, 2.5, 1e30, "text", [], [1], {}, {"a": 1}]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_every_value_of_a_manifest_of_another_type(broken: Path, odd: Any) -> None:
    """Whatever stands in place of whatever: it opens, or the manifest is named."""
    path = broken / "manifest.json"
    good = json.loads(path.read_text())
    refused = []
    for place in _places(good):
        values = json.loads(json.dumps(good))
        *way, last = place
        inner = values
        for key in way:
            inner = inner[key]
        inner[last] = odd
        path.write_text(json.dumps(values))
        try:
            store = Store.open(broken)
            store.read(store.schema.names())
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > 40
    assert all(str(broken) in message for message in refused)


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*way, key)
        yield from _places(inner, (*way, key))


@pytest.mark.parametrize(
    "odd", [["top", "qcd"], [None, 1.0], [1j, 2j], [[1.0], [2.0, 3.0]], [{}, 1]], ids=repr
)
def test_values_that_are_no_numbers(tmp_path: Path, odd: list[Any]) -> None:
    schema = Schema(
        (Field("x", Level.EVENT), Field("n", Level.EVENT, Kind.COUNT, dtype="int32")), Level.EVENT
    )
    for name in ("x", "n"):
        columns: dict[str, Any] = {"x": np.ones(2), "n": np.ones(2, np.int32)}
        columns[name] = np.array(odd, object if not isinstance(odd[0], str | complex) else None)
        with (
            pytest.raises(DataError, match=f"field '{name}' holds"),
            StoreWriter(tmp_path / "s", schema, provenance={}) as writer,
        ):
            writer.write(columns)
    assert not list(tmp_path.iterdir())
