"""Files on servers: a server on this machine sends them in parts, badly, or not at all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from format_files import MAP, make_inputs, write_hdf5, write_mapped
from served import Server, serving

from hepfm.cli.main import group
from hepfm.core.errors import DataError, MissingExtraError
from hepfm.data import remote
from hepfm.data.ingest import ingest
from hepfm.data.inputs import find_inputs
from hepfm.data.remote import RemoteFile
from hepfm.data.store import Store

pytest.importorskip("aiohttp", reason="the extra 'remote' is not installed")
pytest.importorskip("uproot", reason="uproot is not installed")
h5py = pytest.importorskip("h5py", reason="h5py is not installed")
pytestmark = pytest.mark.enable_socket  # the server is on this machine

OPTIONS = {"mapping": MAP, "jetnet": {"jet_class": "g"}, "physlite": {"jets": "AnalysisJets"}}
KINDS = ("mapping.root", "mapping.parquet", "mapping.h5", "mapping.npz")


@pytest.fixture(scope="module")
def inputs(jet_store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Path]]:
    return make_inputs(tmp_path_factory.mktemp("served"), jet_store)


@pytest.fixture
def server(inputs: dict[str, tuple[str, Path]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(remote, "_PAUSE", 0)
    with serving() as one:
        one.files = {name: path.read_bytes() for name, (_, path) in inputs.items()}
        yield one


def read(server: Server, name: str, output: Path) -> Store:
    reader = name.split(".")[0] if "." in name else "mapping"
    return Store.open(
        ingest(reader, [f"{server.url}/{name}"], output=output, options=OPTIONS.get(reader, {}))
    )


def test_every_format_is_read_as_a_local_file(
    server: Server, inputs: dict[str, tuple[str, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_BLOCK", 8192)
    server.files["g.hdf5"] = server.files["jetnet.hdf5"]
    for name, (reader, path) in inputs.items():
        options = OPTIONS.get(reader, {})
        local = Store.open(ingest(reader, [path], output=tmp_path / f"local_{name}", options=options))
        far = read(server, name, tmp_path / f"far_{name}")
        assert [shard.sha256 for shard in far.manifest.shards] == [
            shard.sha256 for shard in local.manifest.shards
        ], name
    assert all(ranged for _, ranged in server.asked)


def test_only_what_is_needed_is_asked_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_BLOCK", 4096)
    rng = np.random.default_rng(0)
    extra = {"unused": rng.normal(size=(6, 100_000))}
    path = tmp_path / "big.h5"
    import h5py

    small = write_mapped(tmp_path / "small.h5")
    with h5py.File(small) as file:
        write_hdf5(path, **extra, **{name: file[name][:] for name in file})
    server.files["mapping.big.h5"] = path.read_bytes()
    read(server, "mapping.big.h5", tmp_path / "store")
    assert len(server.asked) < 30
    assert len(server.files["mapping.big.h5"]) > 4_000_000


def test_provenance_holds_the_url_without_secrets(server: Server, tmp_path: Path) -> None:
    url = f"{server.url}/mapping.root".replace("http://", "http://me:secret@") + "?token=hidden&a=b"
    store = Store.open(ingest("mapping", [f"test={url}"], output=tmp_path / "store", options=MAP))
    (file,) = store.provenance["files"]
    assert file["url"] == f"{server.url}/mapping.root"
    assert (file["name"], file["split"], file["sha256"]) == ("mapping.root", "test", None)
    assert file["bytes"] == len(server.files["mapping.root"])
    assert "secret" not in str(store.provenance)
    with pytest.raises(DataError, match=r"are the same file") as caught:
        ingest("mapping", [f"val={url}", f"test={url}"], output=tmp_path / "twice", options=MAP)
    assert "secret" not in str(caught.value)


def test_rows_of_two_urls_in_two_splits_are_found(server: Server, tmp_path: Path) -> None:
    server.files["copy.root"] = server.files["mapping.root"]
    files = [f"train={server.url}/mapping.root", f"test={server.url}/copy.root"]
    with pytest.raises(DataError, match=r"the same row is in two splits: .*mapping\.root.*copy\.root"):
        ingest("mapping", files, output=tmp_path / "store", options=MAP)


def break_connection(server: Server) -> None:
    server.breaks_after = 100


def claim_more(server: Server) -> None:
    server.claims = 500


def send_wholes(server: Server) -> None:
    server.ranges = False


def wait(server: Server) -> None:
    server.waits = 0.5


def forget(server: Server) -> None:
    server.files = {}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (forget, r"no file http.*: the server has none of this name"),
        (break_connection, r"the transfer ended before all bytes were there"),
        (claim_more, r"the transfer ended before all bytes were there"),
        (send_wholes, r"does not send parts of files \(HTTP ranges\)"),
        (403, r"not allowed to read http"),
        (503, r"cannot read http.*: status 503"),
    ],
)
def test_trouble_is_told_in_words(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, trouble: Any, message: str
) -> None:
    monkeypatch.setattr(remote, "_BLOCK", 2048)
    if callable(trouble):
        trouble(server)
    else:
        server.status = trouble
    with pytest.raises(DataError, match=message) as caught:
        read(server, name, tmp_path / "store")
    assert f"{server.url}/{name}" in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_a_silent_server(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_SECONDS", 0.1)
    monkeypatch.setattr(remote, "_TRIES", 2)
    wait(server)
    with pytest.raises(DataError, match=r"no answer within 0\.1 s, 2 times"):
        read(server, "mapping.root", tmp_path / "store")


def test_a_moment_of_trouble_is_waited_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status = 503
    pauses: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", lambda seconds: (pauses.append(seconds), heal()))

    def heal() -> None:
        server.status = 200

    assert RemoteFile(f"{server.url}/mapping.root").size == len(server.files["mapping.root"])
    assert len(pauses) == 1


def test_truncated_files_are_refused(server: Server, tmp_path: Path) -> None:
    for name in KINDS:
        server.files[name] = server.files[name][:-200]
        with pytest.raises(DataError, match=name):
            read(server, name, tmp_path / "store")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/a.root", r"scheme 'ftp'; files are read of https, http, root, s3 and file$"),
        ("val=https://host/*.root", r"patterns are not looked up on servers"),
        ("https://host/folder/", r"is a folder; give the URL of each file"),
        ("https://host", r"is a folder"),
        ("file://host/a.root", r"names a file of the machine host"),
        ("file:///none/a.root", r"/none/a\.root is missing"),
        ("@list.txt", r"scheme 'gopher'"),
    ],
)
def test_odd_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("gopher://a/b\n")
    with pytest.raises(DataError, match=message):
        find_inputs([url], (".root",))


def test_lists_and_file_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.root").touch()
    Path("list.txt").write_text(f"https://host/x.root?a=b\nfile://{tmp_path}/a%20b.root\n")
    found = find_inputs(["test=@list.txt", "val=root://host//store/y.root"], (".root",))
    assert [(split, str(path)) for split, path in found] == [
        ("test", "https://host/x.root"),
        ("test", str(tmp_path / "a b.root")),
        ("val", "root://host//store/y.root"),
    ]


@pytest.mark.parametrize(
    ("url", "library", "message"),
    [
        ("https://host/a.root", "aiohttp", r"pip install 'hepfm\[remote\]'"),
        ("root://host//a.root", "fsspec_xrootd", r"fsspec-xrootd and xrootd.*'hepfm\[remote\]' on Linux"),
        ("s3://bucket/a.root", "s3fs", r"pip install s3fs"),
    ],
)
def test_missing_libraries(monkeypatch: pytest.MonkeyPatch, url: str, library: str, message: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=message):
        _ = RemoteFile(url).size


def test_xrootd_is_asked_through_fsspec(monkeypatch: pytest.MonkeyPatch, inputs: Any, tmp_path: Path) -> None:
    """A stand-in for the server: what fsspec-xrootd gives back, and its errors."""
    from fsspec.implementations.memory import MemoryFileSystem

    system = MemoryFileSystem()
    system.pipe("/store/mapping.root", inputs["mapping.root"][1].read_bytes())
    monkeypatch.setattr("fsspec.core.url_to_fs", lambda url, **_: (system, url.partition("host/")[2]))
    store = ingest("mapping", ["root://host//store/mapping.root"], output=tmp_path / "a", options=MAP)
    assert Store.open(store).num_rows == 6
    with pytest.raises(DataError, match=r"no file root://host//store/none\.root"):
        ingest("mapping", ["root://host//store/none.root"], output=tmp_path / "b", options=MAP)
    for said, message in (("[3011] No such file", "no file root"), ("Operation expired", "no answer within")):
        error = OSError(f"File stat request failed: [ERROR] {said}")
        monkeypatch.setattr(system, "info", lambda path, error=error: (_ for _ in ()).throw(error))
        monkeypatch.setattr(remote, "_PAUSE", 0)
        with pytest.raises(DataError, match=message):
            _ = RemoteFile("root://host//store/x.root").size


def test_the_command(server: Server, tmp_path: Path) -> None:
    draft = CliRunner().invoke(group, ["ingest", "mapping", f"{server.url}/mapping.root", "--suggest"])
    assert draft.exit_code == 0, draft.output
    assert "part_pt" in draft.output
    lost = CliRunner().invoke(
        group, ["ingest", "nanoaod", f"{server.url}/none.root", "-o", str(tmp_path / "s")]
    )
    assert lost.exit_code == 2
    assert "the server has none of this name" in lost.output
    assert "Traceback" not in lost.output
