"""The data sets of an HDF5 file: arrays, structured arrays, and tables as pandas writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hepfm.core.errors import DataError, missing_extra
from hepfm.data.remote import readable
from hepfm.data.tables.arrays import ArrayColumn, ArraysTable
from hepfm.data.tables.base import chosen
from hepfm.data.tables.pandas_hdf5 import is_pandas, pandas_columns


class Hdf5Table(ArraysTable):
    """An HDF5 file, with any compression of the HDF5 filters that PyTables and pandas use, but LZO.

    Columns are called by the path of the data set, ``jets/pt``; those of structured data sets
    ``tracks.pt``; those of a pandas table by their own names. `name` says which pandas table, or which
    group the data sets are taken from, where there are several. Links to other files are not followed.
    """

    def _open(self, name: str | None) -> None:
        try:
            import h5py
            import hdf5plugin  # noqa: F401 (its import makes the filters known to HDF5)
        except ImportError:
            raise missing_extra("h5py and hdf5plugin", "io") from None
        file = self.opened.enter_context(h5py.File(readable(self.path)))
        items = _items(file)
        tables = [key for key, item in items.items() if is_pandas(item)]
        if tables and (name is None or name in tables):
            self.columns = pandas_columns(file[chosen(self.path, tables, name, what="table")], self.path)
        else:
            group = f"{name}/" if name else ""
            self.columns = {
                column: value
                for key, item in items.items()
                if key.startswith(group) and hasattr(item, "shape")
                for column, value in _columns(key.removeprefix(group), item)
            }
            if name and not self.columns:
                raise DataError(
                    f"{self.path} has no data sets in {name!r}; it has: {', '.join(items) or 'nothing'}"
                )
        self.names = tuple(self.columns)


def _items(file: Any) -> dict[str, Any]:
    """Return groups and data sets by path. Soft and external links are not visited."""
    items: dict[str, Any] = {}
    file.visititems(lambda key, item: items.__setitem__(key, item))
    return items


def _columns(name: str, data: Any) -> Iterator[tuple[str, ArrayColumn]]:
    if data.dtype.names is None:
        yield name, ArrayColumn(data)
    else:
        yield from ((f"{name}.{field}", ArrayColumn(data, field)) for field in data.dtype.names)
