"""Files on servers, by URL: read in pieces where they are needed, never as a whole onto the disk."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import unquote, urlsplit, urlunsplit

from hepfm.core.errors import DataError, MissingExtraError, missing_extra
from hepfm.core.guards import words

LIBRARIES = {
    "https": "fsspec and aiohttp",
    "http": "fsspec and aiohttp",
    "root": "fsspec-xrootd and xrootd",
    "s3": "s3fs",
}
"""What reads each scheme, with fsspec."""

_URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")
_BLOCK = 1 << 20
"""Bytes that are asked for together."""
_BLOCKS = 64
"""Blocks of a file that stay in memory."""
_SECONDS = 60
"""Longest silence of a server."""
_TRIES = 3
_PAUSE = 1.0
"""Seconds before the second try."""
_FINAL = (FileNotFoundError, PermissionError, ValueError, ImportError, NotImplementedError)
"""Errors that another try does not mend."""

_XROOTD_NOT_FOUND, _XROOTD_EXPIRED = "[3011]", "Operation expired"

T = TypeVar("T")


class RemoteFile:
    """A file on a server. What readers ask of a local path it answers too: `name`, `stem`, `open`, its text.

    Parameters
    ----------
    url
        ``https://``, ``http://``, ``root://`` or ``s3://``.

    Raises
    ------
    DataError
        For another scheme, a folder, or a pattern.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.scheme = parts.scheme.lower()
        # Passwords and the tokens of signed URLs belong neither into messages nor into stores.
        host = parts.netloc.rpartition("@")[2]
        self._shown = urlunsplit((self.scheme, host, parts.path, "", ""))
        self.name = PurePosixPath(unquote(parts.path)).name
        self._block: Callable[[int], bytes] = lru_cache(_BLOCKS)(self._read_block)
        if self.scheme not in LIBRARIES:
            raise DataError(
                f"{self} has the scheme {self.scheme!r}; files are read of {', '.join(LIBRARIES)} and file"
            )
        if "*" in parts.path:
            raise DataError(
                f"{self}: patterns are not looked up on servers; give each URL, or a list of them, @list.txt"
            )
        if not self.name or parts.path.endswith("/"):
            raise DataError(f"{self} is a folder; give the URL of each file, or a list of them, @list.txt")

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.name).stem

    def __str__(self) -> str:
        return self._shown

    def __fspath__(self) -> str:
        raise TypeError(f"{self} is no local path")

    def open(self, mode: str = "rb") -> BinaryIO:
        """Return the file, opened for reading; what was read of it lately stays in memory."""
        assert mode == "rb"
        return cast(BinaryIO, io.BufferedReader(_Remote(self, self.size)))

    @cached_property
    def size(self) -> int:
        """Number of bytes."""
        size = self._info.get("size")
        if size is None:
            raise DataError(f"{self}: the server does not tell the size of the file; fetch it first")
        return int(size)

    @property
    def version(self) -> str:
        """What the server calls this state of the file: a checksum, an ETag, a date; empty without."""
        keys = ("checksum", "ETag", "etag", "LastModified", "mtime")
        return str(next((self._info[key] for key in keys if self._info.get(key)), ""))

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes of the file.

        Raises
        ------
        DataError
            When the server does not send them.
        """
        first, last = start // _BLOCK, (stop - 1) // _BLOCK
        whole = b"".join(self._block(number) for number in range(first, last + 1))
        return whole[start - first * _BLOCK : stop - first * _BLOCK]

    def _read_block(self, number: int) -> bytes:
        start, stop = number * _BLOCK, min((number + 1) * _BLOCK, self.size)
        content = self._asked(lambda: self._part(start, stop))
        if len(content) < stop - start:
            raise DataError(
                f"{self}: the server sent {len(content)} of the {stop - start} bytes from {start}: the file "
                "is shorter than the server says, or the transfer was cut off"
            )
        return bytes(content)

    def _part(self, start: int, stop: int) -> bytes:
        self._handle.seek(start)
        return bytes(self._handle.read(stop - start))

    @cached_property
    def _handle(self) -> Any:
        """The file as fsspec opens it, without a cache."""
        system, path = self._system
        if self._info.get("partial") is False:
            raise self._no_parts()
        return system.open(path, "rb", cache_type="none")

    @cached_property
    def _info(self) -> dict[str, Any]:
        system, path = self._system
        return self._asked(lambda: dict(system.info(path)))

    @cached_property
    def _system(self) -> tuple[Any, str]:
        """The file system of fsspec, and the path in it."""
        try:
            from fsspec.core import url_to_fs

            return url_to_fs(self.url, **_options(self.scheme))
        except ImportError:
            pass
        if self.scheme == "s3":
            raise MissingExtraError(f"{self} needs s3fs, which is not installed: pip install s3fs")
        if self.scheme == "root":
            raise MissingExtraError(
                f"{self} needs fsspec-xrootd and xrootd, which are not installed: pip install "
                "'hepfm[remote]' on Linux; elsewhere conda-forge has both"
            )
        raise missing_extra(LIBRARIES[self.scheme], "remote")

    def _asked(self, question: Callable[[], T]) -> T:
        """Return the answer to a question; ask again where that may help."""
        for attempt in range(_TRIES):
            try:
                return question()
            except DataError:
                raise
            except Exception as error:
                # fsspec's HTTP says that a file is not found where it does not know its size, for any reason.
                cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
                problem = cause if isinstance(cause, Exception) else error
                if attempt == _TRIES - 1 or isinstance(problem, _FINAL) or 400 <= _status(problem) < 500:
                    raise self._told(problem) from error
                time.sleep(_PAUSE * (attempt + 1))
        raise AssertionError("the last try returns or raises")

    def _told(self, error: Exception) -> DataError:
        status = _status(error)
        if isinstance(error, FileNotFoundError) or status == 404 or _XROOTD_NOT_FOUND in str(error):
            return DataError(f"no file {self}: the server has none of this name")
        if isinstance(error, PermissionError) or status in (401, 403):
            return DataError(f"not allowed to read {self}; is a password, token or certificate needed?")
        if isinstance(error, ValueError) and "range requests" in str(error):
            return self._no_parts()
        kind = type(error).__name__
        if "Payload" in kind or "Disconnected" in kind:
            return DataError(
                f"cannot read {self}: the transfer ended before all bytes were there, {_TRIES} times; is the "
                "file complete on the server?"
            )
        if isinstance(error, TimeoutError) or "Timeout" in kind or _XROOTD_EXPIRED in str(error):
            return DataError(f"cannot read {self}: no answer within {_SECONDS:g} s, {_TRIES} times")
        return DataError(f"cannot read {self}: {f'status {status}' if status else words(error)}")

    def _no_parts(self) -> DataError:
        return DataError(
            f"{self}: the server does not send parts of files (HTTP ranges), so that nothing can be read of "
            "it without all; fetch the file first, e.g. with curl -O"
        )


DataFile = Path | RemoteFile
"""What readers read."""


def is_url(text: str) -> bool:
    """Tell whether a text is a URL of any scheme."""
    return bool(_URL.match(text))


def data_file(url: str) -> DataFile:
    """Return the file of a URL; of ``file://`` a path."""
    parts = urlsplit(url)
    if parts.scheme.lower() != "file":
        return RemoteFile(url)
    if parts.netloc not in ("", "localhost"):
        raise DataError(f"{url} names a file of the machine {parts.netloc}; give three slashes: file:///...")
    return Path(unquote(parts.path))


def readable(path: DataFile) -> Path | BinaryIO:
    """Return what libraries open: a local path, which some map into memory, or an opened remote file."""
    return path.open("rb") if isinstance(path, RemoteFile) else path


def _options(scheme: str) -> dict[str, Any]:
    if scheme in ("http", "https"):
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SECONDS, sock_read=_SECONDS)
        return {"client_kwargs": {"timeout": timeout, "trust_env": True}}
    return {"timeout": int(_SECONDS)} if scheme == "root" else {}


def _status(error: Exception) -> int:
    """Return the status of an answer of HTTP; 0 for errors of another kind."""
    status = getattr(error, "status", 0)
    return status if isinstance(status, int) else 0


class _Remote(io.RawIOBase):
    """A position in a remote file."""

    def __init__(self, file: RemoteFile, size: int) -> None:
        self._file, self._size, self._place = file, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        stop = min(self._place + len(buffer), self._size)
        if stop <= self._place:
            return 0
        content = self._file.read(self._place, stop)
        buffer[: len(content)] = content
        self._place = stop
        return len(content)
