"""Files that are never half-written: written beside their final path, then moved there in one step."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hepfm.core.errors import HepfmError
from hepfm.core.guards import reading, regular_file, writing
from hepfm.core.locks import Lock, try_lock
from hepfm.core.rename import exchange, rename_new
from hepfm.core.writable import check_writable

_TEMPORARY = ".partial-"
_LOCK = ".lock"
_LONGEST_STEM = 200
"""Bytes of a name that leaves room for a prefix and a suffix; file systems allow 255."""

_Identity = tuple[int, int] | None
"""Device and inode of a path; None if nothing exists there."""


def output_path(path: str | Path) -> Path:
    """Return the path of an output: links are followed, so that a linked folder stays a link.

    Raises
    ------
    HepfmError
        For ``.``, ``..`` and ``/``, which are not names, for circular links, and for a path outside of the
        folders that this process may write, see `hepfm.core.writable`.
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise HepfmError(
            f"{str(path)!r} is not a name for an output; give the name of the file or folder to be written"
        )
    with writing(path):
        try:
            check_writable(path)
            return path.resolve() if path.is_symlink() else path
        except RuntimeError:  # raised for circular links by Python before 3.13
            raise HepfmError(f"{path} is a link that leads back to itself; choose another output") from None


def refuse_existing(path: str | Path, *, overwrite: bool) -> None:
    """Raise `HepfmError` if `path` exists and must not be replaced, or is a folder."""
    target = output_path(path)
    if target.is_dir():
        raise HepfmError(f"{path} is a folder; give the name of a file")
    if target.exists() and not overwrite:
        raise HepfmError(f"{path} exists already; replace it with --overwrite or choose another output")


def refuse_other_folder(path: str | Path, *, mark: str, what: str) -> None:
    """Raise `HepfmError` if `path` exists and is not an earlier output of the same kind.

    Parameters
    ----------
    path
        The folder to be written or replaced.
    mark
        File that such a folder contains.
    what
        What it is, for the message, e.g. ``"model directory"``.
    """
    target = output_path(path)
    if not target.exists() or (target.is_dir() and ((target / mark).exists() or not any(target.iterdir()))):
        return
    raise HepfmError(f"{path} exists and is not a {what}, so it is not replaced; choose another output")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path for the file or directory `path`; move it to its final path at the end.

    If the block raises, an existing `path` is unchanged. An existing file or directory is replaced in
    one step when the new one is complete, and only if it is the one that was there at the start. What a
    killed call left behind is removed by the next one. Files get the permissions of the user's umask.
    """
    target = output_path(path)
    with writing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        before = _identity(target)
        with _workshop(target) as folder:
            temporary = folder / target.name
            with _named_as(path, temporary):
                yield temporary
                _settle(folder)
            _put(temporary, target, before)


@contextlib.contextmanager
def _named_as(path: Path, temporary: Path) -> Iterator[None]:
    """Let errors about `temporary` name `path`."""
    try:
        yield
    except HepfmError as error:
        if str(temporary) not in str(error):
            raise
        raise type(error)(str(error).replace(str(temporary), str(path))) from error


@contextlib.contextmanager
def _workshop(target: Path) -> Iterator[Path]:
    """Make a folder beside `target` for this process only; one that a killed process left is reused."""
    name = target.name
    if len(os.fsencode(name)) > _LONGEST_STEM:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    folder, lock = _take(target.with_name(f"{_TEMPORARY}{name}"))
    try:
        _clear(folder)
        yield folder
    finally:
        with lock.file, contextlib.suppress(OSError):
            _clear(folder)
            (folder / _LOCK).unlink()
            folder.rmdir()


def _take(path: Path) -> tuple[Path, Lock]:
    """Make and lock the folder `path`, or take over that of an ended process; else try the next number."""
    for number in itertools.count():
        folder = path.with_name(f"{path.name}-{number}") if number else path
        is_new = not folder.exists()
        folder.mkdir(exist_ok=True)
        lock = try_lock(folder / _LOCK)
        if lock is not None and (is_new or lock.certain):
            return folder, lock
    raise AssertionError("there is always a next number")


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != _LOCK:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    """Flush files to the disk, with the permissions of a new file of this user."""
    rights = {True: folder.stat().st_mode & 0o777, False: (folder / _LOCK).stat().st_mode & 0o666}
    for path in folder.rglob("*"):
        if path.is_symlink():
            continue
        wanted = rights[path.is_dir()]
        if path.stat().st_mode & 0o777 != wanted:
            path.chmod(wanted)
        if path.is_file() and path != folder / _LOCK:
            _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _identity(path: Path) -> _Identity:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _put(temporary: Path, target: Path, before: _Identity) -> None:
    """Move the new output to its final path, where only the output from the start may be replaced."""
    now = _identity(target)
    if now is not None and now != before:
        _refuse(temporary, target)
    if now is not None:
        exchange(temporary, target)
        return
    try:
        rename_new(temporary, target)
    except FileExistsError:
        _refuse(temporary, target)


def _refuse(temporary: Path, target: Path) -> None:
    """Keep the new output beside a path that was taken in the meantime, and raise an error that says so."""
    for number in itertools.count(1):
        kept = target.with_name(f"{target.name}.{number}")
        try:
            rename_new(temporary, kept)
        except FileExistsError:
            continue
        raise HepfmError(
            f"{target} was written by another process meanwhile and is left unchanged; this call wrote {kept}"
        )


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; of several writers the last one wins."""
    target = output_path(path)
    with writing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _workshop(target) as folder:
            temporary = folder / target.name
            temporary.write_text(text, encoding="utf-8")
            _sync(temporary)
            temporary.replace(target)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, indented, with a final newline; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_text(path: Path, error: type[HepfmError] = HepfmError) -> str:
    """Read a text file; any problem raises `error` with its path."""
    with reading(path, error):
        return regular_file(path, error).read_text(encoding="utf-8")


def read_json(path: Path, error: type[HepfmError] = HepfmError) -> Any:
    """Read a JSON file; a missing or damaged one raises `error` with its path."""
    text = read_text(path, error)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise error(f"{path} is damaged: {problem}") from None


def read_json_object(path: Path, error: type[HepfmError] = HepfmError) -> dict[str, Any]:
    """Read a JSON file that holds one object; anything else raises `error` with its path."""
    values = read_json(path, error)
    if not isinstance(values, dict):
        raise error(f"{path} is damaged: expected keys and values, got {type(values).__name__}")
    return values


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
