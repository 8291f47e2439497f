"""Columns of files of every layout, written by the libraries that people write them with."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from format_files import write_mapped

from hepfm.core.errors import DataError
from hepfm.data.tables.open import open_table

ak = pytest.importorskip("awkward", reason="the extra 'io' is not installed")
h5py = pytest.importorskip("h5py", reason="the extra 'io' is not installed")
uproot = pytest.importorskip("uproot", reason="the extra 'io' is not installed")

ROWS = 7
RNG = np.random.Generator(np.random.PCG64(1))
NUMBERS = RNG.normal(size=ROWS)
LENGTHS = np.array([2, 0, 3, 1, 0, 4, 1])
LISTS = ak.unflatten(RNG.normal(size=LENGTHS.sum()).astype(np.float32), LENGTHS)
NESTED = ak.unflatten(LISTS, [2, 0, 1, 4], axis=0)
"""Four rows of lists of lists."""


def read(path: Path, *names: str, tree: str | None = None, rows: int = 3) -> dict[str, Any]:
    """Return whole columns, read in pieces of three rows."""
    with open_table(path, tree) as table:
        pieces = list(table.chunks(names, rows))
        assert sum(len(piece[names[0]]) for piece in pieces) == table.num_rows(names)
        assert all(len(piece[names[0]]) == rows for piece in pieces[:-1])
        return {name: ak.concatenate([piece[name] for piece in pieces]) for name in names}


def same(found: Any, expected: Any) -> None:
    """Assert that numbers, lists or lists of lists are equal, to the bit."""
    assert ak.to_list(found) == ak.to_list(expected)


@pytest.mark.parametrize("kind", ["ttree", "rntuple"])
def test_root(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file.root"
    with uproot.recreate(path) as file:
        columns = {"number": NUMBERS, "list": LISTS, "flag": NUMBERS > 0}
        make = file.mktree if kind == "ttree" else file.mkrntuple
        make("folder/events" if kind == "ttree" else "events", columns)
    found = read(path, "number", "list", "flag")
    same(found["number"], NUMBERS)
    same(found["list"], LISTS)
    same(found["flag"], NUMBERS > 0)


def test_root_branches_of_fixed_length_and_several_trees(tmp_path: Path) -> None:
    path = tmp_path / "file.root"
    with uproot.recreate(path) as file:
        file["first"] = {"vector": np.arange(ROWS * 3.0).reshape(ROWS, 3)}
        file["second"] = {"x": NUMBERS}
    with pytest.raises(
        DataError, match="several trees, of which the option 'tree' must name one: first, second"
    ):
        open_table(path)
    with pytest.raises(DataError, match="no tree 'secnd'; did you mean 'second'"):
        open_table(path, "secnd")
    same(read(path, "x", tree="second")["x"], NUMBERS)
    same(read(path, "vector", tree="first")["vector"], np.arange(ROWS * 3.0).reshape(ROWS, 3))


def test_parquet_lists_structures_and_nulls(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    jets = [[{"pt": float(k), "n": k} for k in range(n)] for n in LENGTHS]
    table = pa.table(
        {
            "number": NUMBERS,
            "list": ak.to_arrow(LISTS, extensionarray=False),
            "jets": pa.array(jets),
            "hole": pa.array([1.0, None, *range(ROWS - 2)]),
            "integer_hole": pa.array([1, None, *range(ROWS - 2)]),
            "fixed": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(2.0 * ROWS)), 2),
            "text": pa.array(["a"] * ROWS),
            "no_list": pa.array([None, *ak.to_list(LISTS)[1:]]),
        }
    )
    pq.write_table(table, path, row_group_size=4)
    with open_table(path) as opened:
        assert {"jets.pt", "jets.n", "list"} <= set(opened.names)
        assert opened.num_rows(["list"]) == ROWS
        found: dict[str, Any] = {}
        for name in ("number", "list", "jets.pt", "hole", "fixed"):
            found[name] = ak.concatenate([piece[name] for piece in opened.chunks([name])])
        for name, said in (("integer_hole", "null"), ("no_list", "null"), ("text", "string, not numbers")):
            with pytest.raises(DataError, match=said):
                list(opened.chunks([name]))
    same(found["number"], NUMBERS)
    same(found["list"], LISTS)
    same(found["jets.pt"], [[jet["pt"] for jet in row] for row in jets])
    same(found["fixed"], np.arange(2.0 * ROWS).reshape(ROWS, 2))
    assert np.isnan(found["hole"][1])
    assert found["hole"][0] == 1


def test_hdf5_arrays_and_structures(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    tracks = np.zeros((ROWS, 2), [("pt", ">f4"), ("valid", "?")])
    tracks["pt"] = np.arange(2 * ROWS).reshape(ROWS, 2)
    with h5py.File(path, "w") as file:
        file["jets/pt"] = NUMBERS
        file["tracks"] = tracks
        file["cube"] = np.arange(ROWS * 6).reshape(ROWS, 2, 3)
        file["short"] = np.arange(2)
        file["text"] = np.array([b"a"] * ROWS)
        file.create_dataset("ragged", (ROWS,), h5py.vlen_dtype("f4"))
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/x")
        file["soft"] = h5py.SoftLink("/elsewhere")
    found = read(path, "jets/pt", "tracks.pt", "tracks.valid", "cube")
    same(found["jets/pt"], NUMBERS)
    same(found["tracks.pt"], tracks["pt"])
    same(found["tracks.valid"], tracks["valid"])
    same(found["cube"], np.arange(ROWS * 6).reshape(ROWS, 2, 3))
    same(read(path, "pt", tree="jets")["pt"], NUMBERS)
    with open_table(path) as table:
        assert not {"elsewhere", "soft"} & set(table.names)
        with pytest.raises(DataError, match="different numbers of rows"):
            table.num_rows(["jets/pt", "short"])
        for name, said in (("text", "not numbers"), ("ragged", "variable length")):
            with pytest.raises(DataError, match=said):
                list(table.chunks([name]))
        with pytest.raises(DataError, match="no 'jets/pd'; did you mean 'jets/pt'"):
            table.chunks(["jets/pd"])
    with pytest.raises(DataError, match="no data sets in 'jet'"):
        open_table(path, "jet")


FRAME = pd.DataFrame(
    {
        "pt_0": NUMBERS.astype("f4"),
        "pt_1": (2 * NUMBERS).astype("f4"),
        "mass": NUMBERS,
        "label": np.arange(ROWS) % 2,
        "flag": NUMBERS > 0,
    }
)
LIBRARIES = ("zlib", "bzip2", "blosc", "blosc:lz4", "blosc:zstd", "blosc:blosclz", "blosc2", "blosc2:lz4")


@pytest.mark.parametrize("form", ["table", "fixed"])
@pytest.mark.parametrize("library", [None, *LIBRARIES])
def test_pandas_hdf5(tmp_path: Path, form: Any, library: Any) -> None:
    pytest.importorskip("tables", reason="PyTables, with which pandas writes HDF5, is not installed")
    path = tmp_path / "file.h5"
    many = pd.concat([FRAME] * 50, ignore_index=True)
    many.to_hdf(path, key="table", format=form, complib=library, complevel=5 if library else None)
    found = read(path, *FRAME.columns, rows=300)
    for name in FRAME.columns:
        same(found[name], many[name].to_numpy())


@pytest.mark.parametrize("index", [None, [f"row {k}" for k in range(ROWS)], np.linspace(0, 1, ROWS)])
@pytest.mark.parametrize("data_columns", [None, ["label"], True])
def test_pandas_tables_with_any_index_and_columns_of_their_own(
    tmp_path: Path, index: Any, data_columns: Any
) -> None:
    pytest.importorskip("tables", reason="PyTables, with which pandas writes HDF5, is not installed")
    path = tmp_path / "file.h5"
    frame = FRAME.set_axis(pd.Index(index) if index is not None else FRAME.index)
    frame.to_hdf(path, key="deep/key", format="table", data_columns=data_columns)
    frame.to_hdf(path, key="other", format="fixed")
    with pytest.raises(DataError, match="several tables"):
        open_table(path)
    for tree in ("deep/key", "other"):
        found = read(path, *FRAME.columns, tree=tree)
        for name in FRAME.columns:
            same(found[name], FRAME[name].to_numpy())


def test_pandas_columns_that_are_numbers(tmp_path: Path) -> None:
    """As those of the LHC Olympics."""
    pytest.importorskip("tables", reason="PyTables, with which pandas writes HDF5, is not installed")
    path = tmp_path / "file.h5"
    frame = pd.DataFrame(RNG.normal(size=(ROWS, 300)))
    frame.to_hdf(path, key="df", format="fixed")
    same(read(path, "299")["299"], frame[299].to_numpy())
    frame.to_hdf(path, key="df", format="table", mode="w")
    same(read(path, "299")["299"], frame[299].to_numpy())


class Hostile:
    """An object whose unpickling makes a folder."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, ("made-by-a-pickle",)


def test_lists_that_end_outside_of_their_branch_are_refused(tmp_path: Path) -> None:
    """As uproot reads them of a damaged file: followed, they would corrupt the memory."""
    import awkward as ak

    path = write_mapped(tmp_path / "mapped.root")

    class Branch:
        def array(self, **_: object) -> ak.Array:
            offsets = ak.index.Index64(np.array([0, 2, 5, 9, 5293, 14, 15]))
            return ak.Array(ak.contents.ListOffsetArray(offsets, ak.contents.NumpyArray(np.arange(15.0))))

    with open_table(path) as table:
        table._branches["part_pt"] = Branch()
        with pytest.raises(DataError, match="branch 'part_pt' has lists that end outside"):
            list(table.chunks(["part_pt"], 6))


def test_no_pickle_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("tables", reason="PyTables, with which pandas writes HDF5, is not installed")
    import pickle

    path = tmp_path / "file.h5"
    FRAME.to_hdf(path, key="table", format="table")
    with h5py.File(path, "a") as file:
        del file["table/table"].attrs["values_block_0_kind"]
        file["table/table"].attrs["values_block_0_kind"] = np.bytes_(
            pickle.dumps([Hostile(), "x"], protocol=0)
        )
    with pytest.raises(DataError, match="names for"):
        open_table(path)
    np.save(tmp_path / "file.npy", np.array([Hostile()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        open_table(tmp_path / "file.npy")
    assert not Path("made-by-a-pickle").exists()


def test_numpy_files(tmp_path: Path) -> None:
    cube = np.arange(ROWS * 6.0).reshape(ROWS, 2, 3)
    np.save(tmp_path / "one.npy", cube)
    same(read(tmp_path / "one.npy", "data")["data"], cube)
    np.savez_compressed(tmp_path / "several.npz", X=cube, y=NUMBERS, scalar=3.0)
    found = read(tmp_path / "several.npz", "X", "y")
    same(found["X"], cube)
    same(found["y"], NUMBERS)
    with open_table(tmp_path / "several.npz") as table, pytest.raises(DataError, match="single number"):
        table.num_rows(["scalar"])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_of_an_npz_file_are_read_in_pieces(
    tmp_path: Path, save: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    points = np.zeros(ROWS, [("x", ">f4"), ("n", "i2"), ("v", "f8", 2)])
    points["x"], points["n"], points["v"][:, 1] = NUMBERS, np.arange(ROWS), NUMBERS
    fortran = np.asfortranarray(np.arange(ROWS * 3.0).reshape(ROWS, 3))
    big = NUMBERS.astype(">f8")
    path = tmp_path / "file.npz"
    save(path, points=points, fortran=fortran, big=big, empty=np.zeros((0, 4)))
    monkeypatch.setattr(np, "load", None)  # which reads arrays whole
    found = read(path, "points.x", "points.n", "points.v", "fortran", "big")
    same(found["points.x"], points["x"].astype("f4"))
    same(found["points.n"], points["n"])
    same(found["points.v"], points["v"])
    same(found["fortran"], fortran)
    same(found["big"], NUMBERS)
    with open_table(path) as table:
        assert table.num_rows(["empty"]) == 0
        for _ in range(2):  # the second time it goes back to the begin
            same(next(table.chunks(["big"], 2))["big"], NUMBERS[:2])


def test_a_damaged_array_of_an_npz_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    numbers = RNG.normal(size=20_000)
    for save in (np.savez, np.savez_compressed):
        save(path, x=numbers)
        content = bytearray(path.read_bytes())
        content[content.rfind(b"PK\x01\x02") + 16] ^= 1  # the checksum
        path.write_bytes(content)
        for rows in (3000, 10_000):
            with open_table(path) as table, pytest.raises(zipfile.BadZipFile, match="Bad CRC-32"):
                list(table.chunks(["x"], rows))
    with zipfile.ZipFile(path, "w") as archive:
        for name, shape in (("short", f"({ROWS + 1},)"), ("negative", f"(-{ROWS},)")):
            header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
            length = len(header).to_bytes(2, "little")
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + length + header + NUMBERS.tobytes())
    with pytest.raises(DataError, match=r"negative\.npy has the shape"):
        open_table(path)
    with zipfile.ZipFile(path) as archive:
        short = archive.read("short.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("short.npy", short)
    with open_table(path) as table, pytest.raises(DataError, match=f"ends before its row {ROWS + 1}"):
        list(table.chunks(["short"], 3))


def test_pickled_objects_of_an_npz_file_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mixed = np.array([(1.0, Hostile())], [("x", "f8"), ("o", "O")])
    np.savez(tmp_path / "file.npz", x=NUMBERS, bad=np.array([Hostile()], dtype=object), mixed=mixed)
    same(read(tmp_path / "file.npz", "x")["x"], NUMBERS)
    with open_table(tmp_path / "file.npz") as table:
        for name in ("bad", "mixed.o", "mixed.x"):
            with pytest.raises(DataError, match=r"not numbers|pickled objects"):
                list(table.chunks([name]))
    assert not Path("made-by-a-pickle").exists()


def test_other_files_are_refused(tmp_path: Path) -> None:
    for content in (b"", b"pt,eta\n1,2\n"):
        path = tmp_path / "file.root"
        path.write_bytes(content)
        with pytest.raises(DataError, match="no ROOT, Parquet, HDF5 or NumPy file"):
            open_table(path)
