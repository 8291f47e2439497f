"""Models to and from a hub on this machine by the hub's own library, and to and from folders."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from export_cases import Case
from hub_server import TOKEN, Hub, running

from hepfm.cli.main import group
from hepfm.core.errors import ConfigError, HepfmError, ModelError
from hepfm.models.directory import Model
from hepfm.models.folder import FILES, WEIGHTS
from hepfm.models.hub.address import HubAddress, read_address
from hepfm.models.hub.pull import pull
from hepfm.models.hub.push import push

pytestmark = pytest.mark.enable_socket  # the hub is on this machine
PLACE = "hf://atlas/tagger"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "model"
    Case("transformer", None, "features", None, ("classify",)).build().save(folder)
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub", reason="the extra 'hub' is not installed")
    with running() as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield server


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(*arguments: object, **options: Any) -> str:
    """Return the one line of a command line that ends with exit code 2."""
    done = CliRunner().invoke(group, [str(argument) for argument in arguments], **options)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    assert TOKEN not in done.output
    (line,) = done.output.strip().splitlines()
    return line


def test_there_and_back(hub: Hub, model: Path, tmp_path: Path) -> None:
    done = push(model, PLACE, licence="cc-by-4.0")
    stored = hub.repositories["atlas/tagger"]
    assert stored.private
    assert done.address == f"{PLACE}@{stored.branches['main']}"
    page = stored.files(None)["README.md"].decode()
    front = page.split("---")[1]
    assert 'license: "cc-by-4.0"' in front
    assert 'library_name: "hepfm"' in front
    assert '"transformer"' in front
    assert "hepfm pull hf://atlas/tagger -o model" in page
    assert pull(PLACE, output=tmp_path / "copy") == tmp_path / "copy"
    assert files_of(tmp_path / "copy") == files_of(model)
    assert all(told == f"Bearer {TOKEN}" for _, path, told in hub.asked if "/api/models" in path)


def test_the_command_line(hub: Hub, model: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(group, ["push", str(model), PLACE, "--public", "--json"])
    assert done.exit_code == 0, done.output
    assert not hub.repositories["atlas/tagger"].private
    address = json.loads(done.output)["address"]
    done = CliRunner().invoke(group, ["pull", address, "-o", str(tmp_path / "copy")])
    assert done.exit_code == 0, done.output
    assert "checksums and fixture are right" in done.output
    assert f"next: hepfm show {tmp_path / 'copy'}" in done.output


def test_a_model_that_is_there_needs_overwrite(hub: Hub, model: Path, tmp_path: Path) -> None:
    push(model, PLACE)
    assert "--overwrite" in refused("push", model, PLACE)
    assert push(model, PLACE, overwrite=True).files[-1] == "README.md"
    pull(PLACE, output=tmp_path / "copy")
    assert "--overwrite" in refused("pull", PLACE, "-o", tmp_path / "copy")
    pull(PLACE, output=tmp_path / "copy", overwrite=True)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine", encoding="utf-8")
    assert "is not a model directory" in refused("pull", PLACE, "-o", tmp_path / "notes", "--overwrite")
    assert (tmp_path / "notes" / "mine.txt").exists()


def test_revisions(hub: Hub, model: Path, tmp_path: Path) -> None:
    push(model, PLACE)
    first = hub.repositories["atlas/tagger"].branches["main"]
    other = tmp_path / "other"
    Case("transformer", None, "features", None, ("classify",)).build(seed=1).save(other)
    push(other, PLACE, revision="tuned", overwrite=True)
    assert files_of(pull(f"{PLACE}@tuned", output=tmp_path / "tuned")) == files_of(other)
    assert files_of(pull(PLACE, output=tmp_path / "a", revision=first)) == files_of(model)
    assert "has no revision 'gone'" in refused("pull", f"{PLACE}@gone", "-o", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_model_is_loaded_by_its_address_and_kept(hub: Hub, model: Path) -> None:
    address = push(model, PLACE).address
    assert Model.load(PLACE).backbone.name == "transformer"
    hub.asked.clear()
    assert Model.load(address).outputs.keys() == Model.load(model).outputs.keys()
    assert hub.asked == [], "a commit that is there is not asked for again"


@pytest.mark.parametrize("broken", FILES)
def test_a_pull_that_breaks_off_leaves_nothing(
    hub: Hub, model: Path, tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # the library tries again, ever later
    push(model, PLACE)
    hub.breaks_in = broken
    refused("pull", PLACE, "-o", tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in FILES if name != "card.md"])
def test_what_was_altered_is_not_kept(hub: Hub, model: Path, tmp_path: Path, name: str) -> None:
    push(model, PLACE)
    stored = hub.repositories["atlas/tagger"]
    content = bytearray(stored.files(None)[name])
    content[len(content) // 2] ^= 1
    stored.put("main", {name: bytes(content)})
    refused("pull", PLACE, "-o", tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_not_of_a_model_are_not_fetched(hub: Hub, model: Path, tmp_path: Path) -> None:
    push(model, PLACE)
    hub.extra_sibling = "../../evil.py"
    hub.repositories["atlas/tagger"].put("main", {"train.py": b"import os"})
    pull(PLACE, output=tmp_path / "copy")
    assert files_of(tmp_path / "copy").keys() == set(FILES)
    assert not any("evil" in path or "train.py" in path for _, path, _ in hub.asked)


def test_what_the_hub_does_not_have(hub: Hub, model: Path, tmp_path: Path) -> None:
    assert "has no model cms/none" in refused("pull", "hf://cms/none", "-o", tmp_path / "copy")
    push(model, PLACE)
    del hub.repositories["atlas/tagger"].commits[hub.repositories["atlas/tagger"].branches["main"]][WEIGHTS]
    assert f"it has no {WEIGHTS}" in refused("pull", PLACE, "-o", tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_tokens_are_of_the_environment_and_never_printed(
    hub: Hub, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(model, PLACE)
    hub.forbids = True
    assert "the hub refuses this account; set HF_TOKEN" in refused("push", model, PLACE, "--overwrite")
    monkeypatch.delenv("HF_TOKEN")
    assert "or it is private" in refused("pull", PLACE, "-o", tmp_path / "copy")
    assert "needs a token" in refused("push", model, "hf://atlas/another")
    assert "atlas/another" not in hub.repositories


def test_a_hub_that_does_not_answer(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "127.0.0.1:9 did not do it" in refused("pull", PLACE, "-o", tmp_path / "copy")


def test_folders(model: Path, tmp_path: Path) -> None:
    shelf = tmp_path / "a shelf" / "tagger"
    assert push(model, shelf.as_uri()).files == FILES
    assert files_of(shelf) == files_of(model)
    assert "--overwrite" in refused("push", model, shelf)
    assert files_of(pull(shelf.as_uri(), output=tmp_path / "copy")) == files_of(model)
    assert "is the model itself" in refused("pull", shelf, "-o", shelf, "--overwrite")
    assert "is the model itself" in refused("push", shelf, shelf, "--overwrite")
    (shelf / WEIGHTS).write_bytes(b"no weights")
    assert "was altered" in refused("pull", shelf, "-o", tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert "was altered" in refused("push", shelf, tmp_path / "c")


def test_without_the_library(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'hepfm[hub]'" in refused("pull", PLACE, "-o", tmp_path / "copy")
    assert "pip install 'hepfm[hub]'" in refused("push", model, PLACE)


@pytest.mark.parametrize(
    "address",
    [
        "hf://", "hf://tagger", "hf://a/b/c", "hf://../b", "hf://a/..", "hf://a/b..c", "hf://a/b--c", "hf://a/.b",
        "hf://a/b%2f..", "hf://a/b c", "hf://a/b?x", "hf://a/b#x", "hf:///etc/passwd", "hf://a/b@", "hf://a/b@../x",
        "hf://a/b@-x", "hf://a/b@x/../y", "hf://user:secret@a/b", "hf://a/" + "b" * 100, "hf://a/b\n", "hf://ä/b",
        "https://huggingface.co/a/b", "file://host/a", "file://a", "s3://a/b",
    ],
)  # fmt: skip
def test_addresses_that_cannot_be(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_address(address)
    assert len(str(caught.value).splitlines()) <= 2


def test_addresses() -> None:
    assert read_address("hf://a/b") == HubAddress("a", "b")
    assert read_address(Path("hf://a/b@v1.0")) == HubAddress("a", "b", "v1.0")
    assert read_address("hf://a/b", revision="feature/x") == HubAddress("a", "b", "feature/x")
    assert read_address("file:///a%20b/c") == Path("/a b/c")
    assert read_address("a/b") == Path("a/b")
    with pytest.raises(ConfigError, match="give one of them"):
        read_address("hf://a/b@x", revision="y")
    with pytest.raises(ConfigError, match="no revisions"):
        read_address("a/b", revision="y")
    with pytest.raises(HepfmError, match="not the name of a licence"):
        push("nowhere", "hf://a/b", licence="---\nevil: true")
    with pytest.raises(ModelError):
        push("nowhere", "somewhere")
