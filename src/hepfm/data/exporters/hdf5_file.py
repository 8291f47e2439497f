"""New HDF5 files, closed in an orderly way even on a full disk."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from hepfm.core.errors import missing_extra


class _Forgiving(io.RawIOBase):
    """A file that keeps its first error and takes everything after it.

    HDF5 cannot be left after a write that failed: it tries again when the file is closed and when Python
    ends, and crashes there. So it is told that all is well, and the error is raised when HDF5 has let go.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._place = self._end = 0
        self.error: OSError | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._end}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read; what was never written to the disk reads as zero."""
        view = memoryview(buffer).cast("B")
        self._file.seek(self._place)
        data = self._file.read(len(view))
        view[:] = data + bytes(len(view) - len(data))
        self._place += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self.error is None:
            try:
                self._file.seek(self._place)
                done = 0
                while done < len(view):  # the last bytes of a disk may be taken, and the rest refused
                    done += self._file.write(view[done:])
            except OSError as error:
                self.error = error
        self._place += len(view)
        self._end = max(self._end, self._place)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        size = self._place if size is None else size
        if self.error is None:
            try:
                self._file.truncate(size)
            except OSError as error:
                self.error = error
        self._end = size
        return size

    def check(self) -> None:
        """Raise the first error."""
        if self.error is not None:
            raise self.error


class Hdf5File:
    """An HDF5 file that is being written; `file` is h5py's object. Call `check` after each large write."""

    def __init__(self, file: Any, sink: _Forgiving) -> None:
        self.file, self._sink = file, sink

    def check(self) -> None:
        """Raise `OSError` when the disk has refused something."""
        self._sink.check()


@contextmanager
def create_hdf5(path: Path) -> Iterator[Hdf5File]:
    """Open a new HDF5 file for writing.

    Raises
    ------
    OSError
        When the disk refuses something, at the next `check` or at the end of the block.
    """
    try:
        import h5py
    except ImportError:
        raise missing_extra("h5py", "io") from None
    with path.open("w+b", buffering=0) as plain:
        sink = _Forgiving(plain)
        try:
            with h5py.File(sink, "w") as file:
                yield Hdf5File(file, sink)
        finally:
            sink.check()  # before what HDF5 says of the consequences
