"""Guards around reading and writing: any error becomes one message with the file's name.

There is one guard per boundary, not one around each call. Libraries raise errors of many kinds on damaged
files, so the guards catch all of them; the original error stays attached as the cause.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from hepfm.core.errors import DataError, HepfmError, MissingExtraError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_LONGEST = 300
"""Characters of a library's message that are passed on."""


@contextlib.contextmanager
def reading(
    path: str | Path, error: type[HepfmError] = DataError, *, what: str = "", fix: str = ""
) -> Iterator[None]:
    """Turn every error in the block into `error`; it and hepfm's own errors name the file.

    Parameters
    ----------
    path
        The file.
    error
        The kind of error to raise.
    what
        Its format, e.g. ``"ROOT"``.
    fix
        The cure, e.g. ``"run hepfm evaluate again"``.
    """
    try:
        yield
    except HepfmError as problem:
        text = str(problem) if str(path) in str(problem) else f"{path}: {problem}"
        text += f"; {fix}" if fix and fix not in text else ""
        if text == str(problem) or isinstance(problem, MissingExtraError):
            raise
        raise type(problem)(text) from problem
    except Exception as problem:
        shape = f" as {what}" if what else ""
        raise error(f"cannot read {path}{shape}: {words(problem)}{'; ' if fix else ''}{fix}") from problem


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn system errors of writing (disk full, forbidden, ...) into a `HepfmError` with the path.

    Errors that the system did not raise pass through.
    """
    try:
        yield
    except HepfmError:
        raise
    except Exception as problem:
        number = errno_of(problem)
        if number is None or not (isinstance(problem, OSError) or number in (*_FULL, *_FORBIDDEN)):
            raise
        raise HepfmError(_why_not_written(number, path, problem)) from problem


def _why_not_written(number: int, path: str | Path, problem: Exception) -> str:
    if number in _FULL:
        return f"no room left on the disk while writing {path}; free some and run again"
    said = os.strerror(number)
    if number in _FORBIDDEN:
        return f"not allowed to write {path}: {said}"
    named = getattr(problem, "filename", None)
    return f"cannot write {path}: {said}" + (f": {named}" if named and str(named) != str(path) else "")


def errno_of(problem: BaseException) -> int | None:
    """Return the system's number of an error or of its cause; libraries often have it only in the text."""
    link: BaseException | None = problem
    while link is not None:
        if isinstance(link, OSError) and link.errno is not None:
            return link.errno
        number = re.search(r"errno\s*=?\s*(\d+)", str(link), re.IGNORECASE)
        if number:
            return int(number[1])
        link = link.__cause__ or link.__context__
    return None


def words(problem: BaseException) -> str:
    """Return an error in one line: the system's message, or kind and first line of the message."""
    if isinstance(problem, OSError) and problem.strerror:
        text = problem.strerror
    else:
        lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
        kind = type(problem).__name__
        text = lines[0] if lines and isinstance(problem, OSError) else f"{kind}: {lines[0] if lines else ''}"
    return text[:_LONGEST].rstrip(": ")


def regular_file(path: Path, error: type[HepfmError] = DataError) -> Path:
    """Return `path`; raise `error` unless it is a file that can be opened without waiting or side effects.

    Pipes, devices and sockets are refused before they are opened.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise error(f"{path} is missing") from None
    except (OSError, ValueError) as problem:
        raise error(f"cannot read {path}: {words(problem)}") from None
    if stat.S_ISREG(mode):
        return path
    raise error(f"{path} is {_sort(mode)}, not a file")


def _sort(mode: int) -> str:
    sorts = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return sorts.get(stat.S_IFMT(mode), "something else")


def member(folder: Path, name: object, error: type[HepfmError] = DataError) -> Path:
    """Return the path of a file of a folder by the name that the folder's own record gives it.

    Raises
    ------
    HepfmError
        Of kind `error`: for a name that leads out of the folder, a link to a place outside it, a pipe or a
        device, and for a file that is missing.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
        raise error(f"{folder} names {name!r} as one of its files; expected the plain name of a file in it")
    path = folder / name
    if path.is_symlink() and path.resolve().parent != folder.resolve():
        raise error(f"{path} is a link out of its folder, which is not followed; put the file itself there")
    return regular_file(path, error)
