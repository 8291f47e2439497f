"""Tables that stay open: a reader opens its file for each question, and opening can take seconds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hepfm.data.tables.base import FileTable

Key = tuple[object, ...]

MOST = 8
"""Tables that stay open at a time; the one that was used longest ago is closed first."""

_KEPT: ContextVar[OrderedDict[Key, FileTable] | None] = ContextVar("kept tables", default=None)


@contextmanager
def tables_kept_open() -> Iterator[None]:
    """Keep tables that are opened in this block open until its end, and give them out again.

    Of ROOT files with thousands of branches uproot builds an object for each branch, which takes a second or
    two whenever such a file is opened.
    """
    if _KEPT.get() is not None:
        yield
        return
    kept: OrderedDict[Key, FileTable] = OrderedDict()
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)
        for table in kept.values():
            table.opened.close()


def kept(key: Key, make: Callable[[], FileTable]) -> FileTable:
    """Return the table of a key that is open, or a new one, which stays open within `tables_kept_open`."""
    tables = _KEPT.get()
    if tables is None:
        return make()
    if key not in tables:
        table = make()
        table.stays_open = True
        tables[key] = table
        if len(tables) > MOST:
            tables.popitem(last=False)[1].opened.close()
    tables.move_to_end(key)
    return tables[key]
