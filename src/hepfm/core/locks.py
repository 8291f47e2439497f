"""Locks on files: they show which process is using a folder, and end with that process however it ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hepfm.core import log
from hepfm.core.errors import HepfmError

_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True)
class Lock:
    """A lock that this process holds.

    Attributes
    ----------
    file
        The open file; closing it releases the lock.
    certain
        False on file systems without locks: then another process may hold it as well.
    """

    file: IO[str]
    certain: bool


def try_lock(path: Path) -> Lock | None:
    """Lock a file, created if needed; return None if another process has it, or its folder is gone."""
    try:
        file = path.open("a+", encoding="utf-8")
    except FileNotFoundError:
        return None
    certain = True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            file.close()
            if isinstance(error, BlockingIOError):
                return None
            raise
        certain = False
    if not _still_there(path, file):  # its holder removed it between opening and locking
        file.close()
        return None
    return Lock(file, certain)


def _still_there(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def locked(path: Path, *, refusal: str) -> Iterator[None]:
    """Hold the lock file `path` within the block; raise `HepfmError` when another process has it.

    Parameters
    ----------
    path
        The lock file; its folder must exist. It is removed at the end.
    refusal
        The message of the error, to which the other process is added.
    """
    lock = try_lock(path)
    if lock is None:
        raise HepfmError(f"{refusal} ({_holder(path)})")
    if not lock.certain:
        log.logger.warning("%s cannot be locked on its file system: start nothing else there", path.parent)
    with lock.file as file:
        with contextlib.suppress(OSError):  # on a full disk the lock holds nevertheless
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), f"process {os.getpid()} on {platform.node()}\n".encode())
        try:
            yield
        finally:
            path.unlink(
                missing_ok=True
            )  # still held: a process that opened it meanwhile sees that it is gone


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() or "an unknown process"
    except OSError:
        return "an unknown process"
