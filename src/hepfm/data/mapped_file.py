"""Files mapped into memory and not kept open: a store may have more files than a process descriptors."""

from __future__ import annotations

import ctypes
import functools
import mmap
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

_DONTNEED = getattr(mmap, "MADV_DONTNEED", None)


def map_file(path: Path) -> tuple[memoryview, Callable[[], None]]:
    """Map a file for reading.

    Python's own `mmap` keeps a descriptor for each file, of which a process has 1024 as a rule; the region of
    an Arrow file lives on when the file is closed.

    Returns
    -------
    tuple
        The bytes, mapped as long as anything views them, and a function that lets their resident pages go.
    """
    with pa.memory_map(str(path)) as file:
        buffer = file.read_buffer()
    return memoryview(buffer), functools.partial(_release, buffer)


def _release(buffer: pa.Buffer) -> None:
    """Let the pages of a mapped buffer go, which begins at a page; they are read again when needed."""
    if _DONTNEED is None or not buffer.size:
        return
    library = ctypes.CDLL(None)
    library.madvise(ctypes.c_void_p(buffer.address), ctypes.c_size_t(buffer.size), ctypes.c_int(_DONTNEED))
