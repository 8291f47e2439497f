"""Renames that Python does not have: exchange two names in one step, and rename only to a free name."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
_LINUX = {"exchange": 2, "new": 1}
"""RENAME_EXCHANGE and RENAME_NOREPLACE of renameat2(2)."""
_MACOS = {"exchange": 2, "new": 4}
"""RENAME_SWAP and RENAME_EXCL of renamex_np(2)."""


def exchange(source: Path, target: Path) -> None:
    """Exchange two names in one step; if the system cannot, with a moment in which `target` is missing.

    Files are always replaced in one step; then nothing is left at `source`.
    """
    if _flagged("exchange", source, target):
        return
    if not source.is_dir() and not target.is_dir():
        source.replace(target)
        return
    aside = source.with_name(f"{source.name}.old")
    target.rename(aside)
    try:
        source.rename(target)
    except OSError:
        aside.rename(target)
        raise
    aside.rename(source)


def rename_new(source: Path, target: Path) -> None:
    """Rename to a free name; raise `FileExistsError` if it is taken."""
    if _flagged("new", source, target):
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def _flagged(what: str, source: Path, target: Path) -> bool:
    """Do a rename with a flag; return False if the system or file system does not support it."""
    library = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(source), os.fsencode(target)
    if sys.platform == "darwin":
        failed = library.renamex_np(*paths, ctypes.c_uint(_MACOS[what]))
    elif hasattr(library, "renameat2"):
        failed = library.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], ctypes.c_uint(_LINUX[what]))
    else:
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(target))
