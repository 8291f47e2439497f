"""Paths, patterns, folders and lists of files as inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from hepfm.core.errors import DataError
from hepfm.data.inputs import find_inputs

ENDINGS = (".root", ".parquet")
NAMES = (
    "jets_10.root",
    "jets_2.root",
    "jets_1.parquet",
    "x=1.root",
    ".hidden.root",
    "notes.txt",
    "JETS_3.ROOT",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files of the format and others, which is the current one's `data`."""
    data = tmp_path / "data"
    (data / "below.root").mkdir(parents=True)
    for name in (*NAMES, "below.root/jets_7.root"):
        (data / name).touch()
    monkeypatch.chdir(tmp_path)
    return data


def found(*texts: str) -> list[tuple[str | None, str]]:
    return [(split, str(path)) for split, path in find_inputs(texts, ENDINGS)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data/jets_2.root", [(None, ["jets_2.root"])]),
        ("test=data/jets_2.root", [("test", ["jets_2.root"])]),
        ("data/x=1.root", [(None, ["x=1.root"])]),
        ("val=data/x=1.root", [("val", ["x=1.root"])]),
        ("data/jets_*", [(None, ["jets_1.parquet", "jets_2.root", "jets_10.root"])]),
        ("test=data/jets_[0-9]*.root", [("test", ["jets_2.root", "jets_10.root"])]),
        ("data/x=*.root", [(None, ["x=1.root"])]),
        ("data/**/*_7.root", [(None, ["below.root/jets_7.root"])]),
        ("val=data", [("val", ["JETS_3.ROOT", "jets_1.parquet", "jets_2.root", "jets_10.root", "x=1.root"])]),
    ],
)
def test_what_is_found(folder: Path, text: str, expected: list[tuple[str | None, list[str]]]) -> None:
    assert found(text) == [(split, f"data/{name}") for split, names in expected for name in names]


def test_a_list_is_relative_to_itself(folder: Path) -> None:
    (folder / "list.txt").write_text(f"# two\njets_10.root\n\n  {folder / 'jets_2.root'}\n")
    expected = ["data/jets_10.root", str(folder / "jets_2.root")]
    assert found("@data/list.txt") == [(None, path) for path in expected]
    assert found("test=@data/list.txt", "data/x=1.root") == [
        *(("test", path) for path in expected),
        (None, "data/x=1.root"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data/missing.root", r"^no file data/missing\.root$"),
        ("val=data/missing.root", r"no file data/missing\.root$"),
        ("train=data/*.h5", r"no file matches 'data/\*\.h5'$"),
        ("data/below*", r"no file matches 'data/below\*'$"),
        ("data/empty", r"no file in the folder data/empty ends in \.root or \.parquet$"),
        ("@data/list.txt", r"data/list\.txt lists no file"),
        ("@data/gone.txt", r"data/gone\.txt is missing"),
        ("@data/wrong.txt", r"data/nothing\.root is missing"),
    ],
)
def test_nothing_found_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "empty").mkdir()
    (folder / "empty" / "x.txt").touch()
    (folder / "list.txt").write_text("# none\n\n")
    (folder / "wrong.txt").write_text("nothing.root\n")
    with pytest.raises(DataError, match=message):
        found(text)
