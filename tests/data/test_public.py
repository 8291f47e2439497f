"""Public data sets, fetched from a server on this machine that answers as the archives do."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import served
from click.testing import CliRunner

from hepfm.cli.main import group
from hepfm.core.errors import DataError
from hepfm.data import READERS
from hepfm.data.public.archive import listing
from hepfm.data.public.catalogue import catalogue, public_set
from hepfm.data.public.get import get, size_of

pytest.importorskip("pooch", reason="the extra 'get' is not installed")
pytestmark = pytest.mark.enable_socket  # the server is on this machine

CONTENT = {"val.h5": bytes(range(256)) * 5000, "train.h5": b"train" * 100, "sub/test.h5": b"test"}


class Handler(served.Handler):
    """Answers as the archives do, beside sending files."""

    server: Archive

    def name(self) -> str:
        return self.path.split("/files/")[-1].split("/resolve/abc/")[-1]

    def do_GET(self) -> None:
        if not self.path.startswith(("/api/records/", "/api/datasets/")):
            super().do_GET()
            return
        self.server.asked.append((self.path, None))
        self.answer(200, json.dumps(self.server.record or self._record()).encode())

    def _record(self) -> dict[str, Any]:
        base = self.server.url
        if self.path.startswith("/api/datasets/"):
            siblings = [
                {"rfilename": name, "size": len(value), "lfs": {"sha256": hashlib.sha256(value).hexdigest()}}
                for name, value in CONTENT.items()
            ]
            return {"sha": "abc", "siblings": siblings, "cardData": {"license": "mit"}}
        files = [
            {
                "key": name,
                "size": len(value),
                "checksum": f"md5:{hashlib.md5(value, usedforsecurity=False).hexdigest()}",
                "links": {"self": f"{base}/files/{name}"},
            }
            for name, value in CONTENT.items()
        ]
        return {"metadata": {"license": {"id": "cc-by-4.0"}}, "files": files}


class Archive(served.Server):
    record: dict[str, Any] | None = None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    with served.serving(Handler, Archive) as one:
        one.files = dict(CONTENT)
        for name in ("HEPFM_ZENODO", "HF_ENDPOINT"):
            monkeypatch.setenv(name, one.url)
        yield one


@pytest.mark.parametrize("name", ["top_tagging", "jetclass2"])
def test_all_files_with_their_checksums(server: Archive, tmp_path: Path, name: str) -> None:
    paths = get(name, output=tmp_path)
    assert {str(path.relative_to(tmp_path)): path.read_bytes() for path in paths} == CONTENT
    before = len(server.asked)
    assert get(name, output=tmp_path) == paths
    assert len(server.asked) == before + 1, "only the list is asked for again"
    (tmp_path / "train.h5").write_bytes(b"other" * 100)
    get(name, ["train*"], output=tmp_path)
    assert (tmp_path / "train.h5").read_bytes() == CONTENT["train.h5"], "a changed file is fetched again"


def test_what_was_interrupted_goes_on(server: Archive, tmp_path: Path) -> None:
    server.breaks_after = 700_000
    server.ranges = False  # each try begins anew, and ends as early
    with pytest.raises(DataError, match="what came is kept, the same command goes on"):
        get("top_tagging", ["val.h5"], output=tmp_path)
    assert not (tmp_path / "val.h5").exists()
    kept = (tmp_path / "val.h5.part").stat().st_size
    assert 600_000 < kept <= 700_000
    server.ranges = True
    (path,) = get("top_tagging", ["val.h5"], output=tmp_path)
    assert path.read_bytes() == CONTENT["val.h5"]
    assert server.asked[3 + 1 + 1][1] == f"bytes={kept}-", "after a list, three tries, and a list"
    assert not (tmp_path / "val.h5.part").exists()


def test_a_connection_that_ends_is_opened_again(server: Archive, tmp_path: Path) -> None:
    server.breaks_after = 700_000
    (path,) = get("top_tagging", ["val.h5"], output=tmp_path)
    assert path.read_bytes() == CONTENT["val.h5"]
    ranges = [ranged for _, ranged in server.asked]
    assert ranges[:2] == [None, None]
    assert all(str(ranged).startswith("bytes=6") for ranged in ranges[2:])


def test_a_wrong_checksum_leaves_nothing(
    server: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = listing(public_set("top_tagging"))
    wrong = {**CONTENT, "train.h5": b"wrong" * 100}
    monkeypatch.setattr("hepfm.data.public.get.listing", lambda source: record)
    server.files = wrong
    with pytest.raises(DataError, match=r"train\.h5: .*the file was removed, fetch it again"):
        get("top_tagging", ["train.h5"], output=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            {"files": [{"key": "../x", "size": 1, "checksum": "md5:0", "links": {"self": "u"}}]},
            "outside the data set",
        ),
        (
            {"files": [{"key": "/x", "size": 1, "checksum": "md5:0", "links": {"self": "u"}}]},
            "outside the data set",
        ),
        ({"files": [{"size": 1}]}, "gave no list of files"),
        ({"nothing": 1}, "gave no list of files"),
    ],
)
def test_bad_answers(server: Archive, tmp_path: Path, record: dict[str, Any], message: str) -> None:
    server.record = {"metadata": {}, **record}
    with pytest.raises(DataError, match=message):
        get("top_tagging", output=tmp_path)


def test_unknown_names_and_no_server(
    server: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="no public data set 'top_taging'; did you mean 'top_tagging'"):
        get("top_taging", output=tmp_path)
    with pytest.raises(DataError, match=r"no file 'vall\.h5' in this data set; did you mean 'val\.h5'"):
        get("top_tagging", ["vall.h5"], output=tmp_path)
    monkeypatch.setenv("HEPFM_ZENODO", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"cannot ask http://127\.0\.0\.1:9/api/records/2603256"):
        get("top_tagging", output=tmp_path)


def test_a_full_disk_is_seen_before(server: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 10

    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage)
    with pytest.raises(DataError, match="choose fewer files"):
        get("top_tagging", output=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command(server: Archive, tmp_path: Path) -> None:
    said = CliRunner().invoke(group, ["data", "get", "top_tagging", "-o", str(tmp_path), "--dry-run"])
    assert said.exit_code == 0
    assert "licence, as the archive states it: cc-by-4.0" in said.output
    assert "val.h5  1.28 MB" in said.output
    assert list(tmp_path.iterdir()) == []
    asked = CliRunner().invoke(group, ["data", "get", "top_tagging", "-o", str(tmp_path)], input="n\n")
    assert "fetch them? [y/N]" in asked.output
    assert list(tmp_path.iterdir()) == []
    done = CliRunner().invoke(group, ["data", "get", "top_tagging", "train.h5", "-o", str(tmp_path), "--yes"])
    assert done.exit_code == 0
    assert f"next: hepfm ingest top_tagging {tmp_path / 'train.h5'} -o top_tagging" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["train.h5"]


def test_the_catalogue() -> None:
    readers = set(READERS)
    for name, one in catalogue().items():
        assert one.reader is None or one.reader in readers, name
        assert one.traps
    listed = CliRunner().invoke(group, ["list", "datasets"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in catalogue())
    assert "next: hepfm data get jetclass -o FOLDER" in listed.output


def test_a_set_without_a_list_of_files_names_its_place(tmp_path: Path) -> None:
    done = CliRunner().invoke(group, ["data", "get", "aspen", "-o", str(tmp_path / "aspen")])
    assert done.exit_code == 2
    assert "fetch them by hand from https://doi.org/10.25592/uhhfdm.16505" in done.output
    assert not (tmp_path / "aspen").exists()


def test_the_page_has_every_set() -> None:
    """After a change: ``python docs/scripts/datasets_page.py``."""
    path = Path(__file__).parents[2] / "docs" / "scripts" / "datasets_page.py"
    spec = importlib.util.spec_from_file_location("datasets_page", path)
    assert spec is not None
    assert spec.loader is not None
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    assert page.table() in page.PAGE.read_text(encoding="utf-8")


def test_sizes_in_words() -> None:
    from hepfm.data.public.archive import ArchiveFile

    files = [ArchiveFile("a", 2_500_000_000, None, ""), ArchiveFile("b", None, None, "")]
    assert size_of(files) == "2.5 GB and 1 files of unknown size"
    assert size_of(files[:1]) == "2.5 GB"
    assert size_of([]) == "0 bytes"
