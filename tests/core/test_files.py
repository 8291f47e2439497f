"""Atomic files: what was complete before survives every failure."""

import errno
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from hepfm.core import rename
from hepfm.core.errors import DataError, HepfmError
from hepfm.core.files import (
    atomic_path,
    output_path,
    read_json,
    refuse_existing,
    refuse_other_folder,
    sha256,
    write_json,
    write_text,
)
from hepfm.core.guards import errno_of, member, reading, regular_file, writing
from hepfm.core.locks import locked, try_lock


def write_half_and_fail(path):
    path.write_text("half")
    raise RuntimeError


def test_nothing_is_left_when_the_block_raises(tmp_path):
    target = tmp_path / "file.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        write_half_and_fail(temporary)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_directory_is_replaced_whole(tmp_path):
    target = tmp_path / "store"
    for content in ("one", "two"):
        with atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert [path.name for path in target.iterdir()] == ["two"]
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_and_keeps_the_old_file(tmp_path, code):
    target = tmp_path / "file.txt"
    write_text(target, "old")
    with pytest.raises(HepfmError, match="no room left"), atomic_path(target):
        raise OSError(code, "full")
    assert target.read_text() == "old"


def test_a_kill_while_writing_keeps_the_old_file(tmp_path):
    target = tmp_path / "file.txt"
    write_text(target, "old")
    program = textwrap.dedent(
        f"""
        import os, pathlib, signal
        from hepfm.core.files import atomic_path
        with atomic_path(pathlib.Path({str(target)!r})) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_text() == "old"


def test_json_refuses_nan_and_names_damage(tmp_path):
    path = tmp_path / "value.json"
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"a": float("nan")})
    assert not path.exists()
    with pytest.raises(DataError, match="is missing"):
        read_json(path, DataError)
    path.write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        read_json(path, DataError)


def test_sha256_of_a_known_text(tmp_path):
    write_text(tmp_path / "a", "abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_forbidden_folder_is_said(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(HepfmError, match="not allowed to write"):
        write_text(tmp_path / "folder" / "file.txt", "text")


def folder_with(path, content):
    path.mkdir()
    (path / content).write_text(content)
    return path


@pytest.fixture(params=["flags", "plain"])
def renames(request, monkeypatch):
    """Renames with the system's flags, and as on file systems that do not have them."""
    if request.param == "plain":
        monkeypatch.setattr(rename, "_flagged", lambda *_: False)


@pytest.mark.parametrize("kinds", ["files", "folders"])
def test_names_are_exchanged(tmp_path, renames, kinds):
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        folder_with(path, path.name) if kinds == "folders" else path.write_text(path.name)
    rename.exchange(first, second)
    if kinds == "folders":
        assert [path.name for path in second.iterdir()] == ["first"]
        assert [path.name for path in first.iterdir()] == ["second"]
    else:
        assert second.read_text() == "first"


def test_the_system_exchanges_in_one_step(tmp_path):
    """The target is there at every moment; without the flag there is one at which it is not."""
    first, second = folder_with(tmp_path / "first", "a"), folder_with(tmp_path / "second", "b")
    if not rename._flagged("exchange", first, second):
        pytest.skip("this file system cannot exchange names")
    stop, missing = threading.Event(), []

    def look():
        while not stop.is_set():
            if not second.exists():
                missing.append(True)

    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(300):
        rename.exchange(first, second)
    stop.set()
    watcher.join()
    assert not missing


def make_while(target, act, content="mine"):
    """Make a file while something else happens."""
    with atomic_path(target) as path:
        path.write_text(content)
        act()
        assert path.read_text() == content


@pytest.mark.parametrize("kind", ["file", "folder", "empty folder", "dangling link"])
def test_what_came_meanwhile_is_never_replaced(tmp_path, renames, kind):
    target = tmp_path / "out"
    acts = {
        "file": lambda: target.write_text("theirs"),
        "dangling link": lambda: target.symlink_to("nowhere"),
        "empty folder": target.mkdir,
        "folder": lambda: folder_with(target, "theirs"),
    }
    with pytest.raises(HepfmError, match=r"written by another process meanwhile.*out\.1"):
        make_while(target, acts[kind])
    assert (tmp_path / "out.1").read_text() == "mine"
    assert {entry.name for entry in tmp_path.iterdir()} == {"out", "out.1"}
    assert not target.is_file() or target.read_text() == "theirs"


def test_what_was_exchanged_meanwhile_is_not_replaced(tmp_path, renames):
    target = folder_with(tmp_path / "out", "old")

    def exchange_it():
        target.rename(tmp_path / "elsewhere")
        folder_with(target, "theirs")

    with pytest.raises(HepfmError, match="meanwhile"):
        make_while(target, exchange_it)
    assert [entry.name for entry in target.iterdir()] == ["theirs"]
    assert (tmp_path / "out.1").read_text() == "mine"


def test_what_was_removed_meanwhile_is_written(tmp_path, renames):
    target = tmp_path / "out"
    target.write_text("old")
    with atomic_path(target) as path:
        path.write_text("new")
        target.unlink()
    assert target.read_text() == "new"


@pytest.mark.parametrize("kind", ["folder", "file", "dangling"])
def test_a_linked_output_is_followed_and_stays_a_link(tmp_path, kind):
    disk, link = tmp_path / "disk", tmp_path / "link"
    disk.mkdir()
    target = disk / "target"
    if kind == "folder":
        folder_with(target, "old")
    elif kind == "file":
        target.write_text("old")
    link.symlink_to(target)
    with atomic_path(link) as path:
        assert path.parent.parent == disk  # made on the same disk
        path.write_text("new") if kind == "file" else folder_with(path, "new")
    assert link.is_symlink()
    assert (
        target.read_text() == "new"
        if kind == "file"
        else [entry.name for entry in target.iterdir()] == ["new"]
    )
    assert {entry.name for entry in tmp_path.iterdir()} == {"disk", "link"}


def test_text_keeps_a_link_too(tmp_path):
    (tmp_path / "link").symlink_to("target")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "text"


@pytest.mark.parametrize("name", [".", "..", "/", "", "a/.."])
def test_places_are_no_names(name):
    with pytest.raises(HepfmError, match="not a name for an output"):
        output_path(name)


def test_links_in_a_circle(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(HepfmError, match=r"tmp|a"):
        write_text(tmp_path / "a", "text")


@pytest.mark.parametrize("length", [255, 256, 5000])
def test_long_names(tmp_path, length):
    target = tmp_path / ("x" * length)
    if length == 255:
        write_text(target, "text")
        assert target.read_text() == "text"
    else:
        with pytest.raises(HepfmError, match="too long"):
            write_text(target, "text")
    assert len(list(tmp_path.iterdir())) == (length == 255)


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_files_and_folders_have_the_rights_of_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        with atomic_path(tmp_path / "out") as path:
            folder_with(path, "file")
            (path / "file").chmod(0o600)  # as some libraries make files
            (path / "inner").mkdir(mode=0o700)
        write_text(tmp_path / "text", "text")
    finally:
        os.umask(before)
    rights = {
        name: (tmp_path / name).stat().st_mode & 0o777 for name in ("out", "out/file", "out/inner", "text")
    }
    folder, file = 0o777 & ~umask, 0o666 & ~umask
    assert rights == {"out": folder, "out/file": file, "out/inner": folder, "text": file}


KILLED = """
import os, pathlib, signal
from hepfm.core.files import atomic_path
with atomic_path(pathlib.Path({target!r})) as path:
    path.mkdir()
    (path / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_call_removes_what_a_killed_one_left(tmp_path):
    target = tmp_path / "out"
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", KILLED.format(target=str(target))], check=False)
        assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1  # each removed what the one before left
    with atomic_path(target) as path:
        folder_with(path, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
    assert [entry.name for entry in target.iterdir()] == ["new"]


def test_two_at_work_on_one_name_do_not_meet(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(HepfmError, match="meanwhile"):
        make_while(target, lambda: make_while(target, lambda: None, "second"))
    assert (tmp_path / "out.1").read_text() == "mine"
    assert target.read_text() == "second"
    assert {entry.name for entry in tmp_path.iterdir()} == {"out", "out.1"}


def test_existing_files_and_other_folders_are_refused(tmp_path):
    file, folder = tmp_path / "file", folder_with(tmp_path / "folder", "content")
    refuse_existing(file, overwrite=False)
    refuse_other_folder(file, mark="config.json", what="model")
    write_text(file, "old")
    refuse_existing(file, overwrite=True)
    refuse_other_folder(folder, mark="content", what="thing")
    (tmp_path / "empty").mkdir()
    refuse_other_folder(tmp_path / "empty", mark="config.json", what="model")
    with pytest.raises(HepfmError, match="--overwrite"):
        refuse_existing(file, overwrite=False)
    with pytest.raises(HepfmError, match="is a folder"):
        refuse_existing(folder, overwrite=True)
    for path in (folder, file):
        with pytest.raises(HepfmError, match="is not a model"):
            refuse_other_folder(path, mark="config.json", what="model")


# -- locks


def test_a_lock_is_held_told_and_given_back(tmp_path):
    path = tmp_path / ".lock"
    with locked(path, refusal="busy"):
        with (
            pytest.raises(HepfmError, match=rf"busy \(process {os.getpid()} on "),
            locked(path, refusal="busy"),
        ):
            pass
        assert path.exists()
    assert not path.exists()
    with locked(path, refusal="busy"):
        pass


def test_a_lock_ends_with_its_process(tmp_path):
    path = tmp_path / ".lock"
    program = (
        "import os, pathlib, signal; from hepfm.core.locks import locked\n"
        f"with locked(pathlib.Path({str(path)!r}), refusal='busy'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    assert path.exists()
    with locked(path, refusal="busy"):
        pass


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    path = tmp_path / ".lock"
    monkeypatch.setattr("fcntl.flock", lambda *_: path.unlink())
    assert try_lock(path) is None
    assert try_lock(tmp_path / "missing" / ".lock") is None


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with locked(tmp_path / ".lock", refusal="busy"):
        pass
    write_text(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"


# -- guards


class Strange(Exception):
    """An error of a library."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Strange("odd\nsecond line"), "cannot read data.h5 as HDF5: Strange: odd; get a fresh copy"),
        (Strange(), "cannot read data.h5 as HDF5: Strange; get a fresh copy"),
        (PermissionError(13, "Permission denied", "data.h5"), "Permission denied"),
        (RecursionError("deep"), "RecursionError: deep"),
        (ValueError("no file name"), "data.h5"),
        (HepfmError("no file name"), "data.h5: no file name"),
        (HepfmError("data.h5 is odd"), "^data.h5 is odd; get a fresh copy$"),
    ],
)
def test_reading_turns_every_error_into_one_with_the_files_name(error, message):
    with pytest.raises(HepfmError, match=message), reading("data.h5", what="HDF5", fix="get a fresh copy"):
        raise error


def test_reading_lets_interrupts_pass():
    with pytest.raises(KeyboardInterrupt), reading("data.h5"):
        raise KeyboardInterrupt


SYSTEM = [
    (errno.ENOSPC, "no room left on the disk while writing out"),
    (errno.EDQUOT, "no room left on the disk while writing out"),
    (errno.EFBIG, "no room left on the disk while writing out"),
    (errno.EACCES, "not allowed to write out: Permission denied"),
    (errno.EROFS, "not allowed to write out: Read-only file system"),
    (errno.ENOTDIR, "cannot write out: Not a directory"),
    (errno.ENAMETOOLONG, "cannot write out: File name too long"),
    (errno.EIO, "cannot write out: Input/output error"),
]


@pytest.mark.parametrize(("number", "message"), SYSTEM)
def test_writing_says_what_the_system_says(number, message):
    with pytest.raises(HepfmError, match=message), writing("out"):
        raise OSError(number, "words of a library")


@pytest.mark.parametrize(
    "text",
    [
        "[Errno 28] Error writing bytes to file",
        "Unable to write (errno = 28, error message = 'No space left on device')",
        "I/O error: No space left (os errno 28)",
    ],
)
def test_a_full_disk_is_read_out_of_the_texts_of_libraries(text):
    assert errno_of(Strange(text)) == errno.ENOSPC
    with pytest.raises(HepfmError, match="no room left"), writing("out"):
        raise Strange(text)


def test_writing_lets_errors_that_the_system_did_not_raise_pass():
    with pytest.raises(Strange), writing("out"):
        raise Strange("a bug")


@pytest.fixture(params=["pipe", "socket", "device", "folder"])
def special(request, tmp_path):
    """Something that is no regular file; opening the pipe would wait for ever."""
    path = tmp_path / "special"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    elif request.param == "device":
        path = Path("/dev/zero")
    else:
        path.mkdir()
    return request.param, path


def test_only_regular_files_are_opened(special):
    kind, path = special
    with pytest.raises(DataError, match=f"is a {kind}, not a file"):
        regular_file(path)
    with pytest.raises(DataError, match=f"is a {kind}, not a file"):
        read_json(path, DataError)


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/b", "..", ".", "", 3, None, "a\0b"])
def test_names_that_leave_a_folder(tmp_path, name):
    with pytest.raises(DataError, match="plain name of a file"):
        member(tmp_path, name)


def test_links_out_of_a_folder_and_within_it(tmp_path):
    (tmp_path / "secret").write_text("text")
    folder = folder_with(tmp_path / "folder", "file")
    (folder / "inside").symlink_to("file")
    (folder / "outside").symlink_to("../secret")
    (folder / "device").symlink_to("/dev/zero")
    assert member(folder, "inside") == folder / "inside"
    for name in ("outside", "device"):
        with pytest.raises(DataError, match="link out of its folder"):
            member(folder, name)
    with pytest.raises(DataError, match="is missing"):
        member(folder, "missing")
