"""Atomic files: what was complete before survives every failure."""

import errno
import signal
import subprocess
import sys
import textwrap

import pytest

from hepfm.core.errors import DataError, HepfmError
from hepfm.core.files import atomic_path, read_json, sha256, write_json, write_text


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
