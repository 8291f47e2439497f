"""Files that are never half-written: temporary name in the same folder, then one rename."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hepfm.core.errors import HepfmError

_TEMPORARY = ".partial-"


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into a `HepfmError` that names the path."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise HepfmError(
                f"no room left on the disk while writing {path}; free some and run again"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise HepfmError(f"not allowed to write {path}: {error.strerror}") from error
        raise


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` (a file or a directory to make); rename it at the end.

    If the block raises, the temporary is removed and what stood at `path` stays as it was. An existing
    directory at `path` is replaced only after the new one is complete.
    """
    temporary = path.with_name(f"{_TEMPORARY}{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _sync(temporary)
            _replace(temporary, path)
    finally:
        _remove(temporary)


def _replace(temporary: Path, path: Path) -> None:
    if temporary.is_dir() and path.is_dir():
        old = path.with_name(f"{_TEMPORARY}{path.name}-{uuid.uuid4().hex[:8]}")
        path.rename(old)
        temporary.rename(path)
        _remove(old)
    else:
        temporary.replace(path)


def _sync(path: Path) -> None:
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, indented, with a final newline; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, error: type[HepfmError] = HepfmError) -> Any:
    """Read a JSON file; a missing or damaged one raises `error` with its path."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path} is missing") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise error(f"{path} is damaged: {problem}") from None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
