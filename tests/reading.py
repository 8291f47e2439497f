"""What tests of readers share: a file's rows as columns, and the real sample files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepfm.core.ragged import Array, Columns, lists
from hepfm.data.tables.open import open_table
from hepfm.testing.readers import ReaderCase

SAMPLES = Path(__file__).parents[2] / "shared" / "data"
"""Small published files."""


def sample(name: str) -> Path:
    """Return a sample file; skip the test where it is absent."""
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"the sample file is absent: {path}")
    return path


def read(name: str, path: Path, **options: Any) -> Columns:
    """Return all rows of a file, read by a reader with options."""
    return ReaderCase(name, path, options).columns()


def named(columns: Columns, name: str) -> Array:
    """Return a field of the rows."""
    column = columns[name]
    assert isinstance(column, np.ndarray)
    return column


def values(columns: Columns, name: str) -> Array:
    """Return the values of a field, of all rows."""
    column = columns[name]
    return column if isinstance(column, np.ndarray) else column.values


def rows_of(columns: Columns, name: str) -> list[list[float]]:
    """Return a field that holds lists, as lists."""
    column = lists(columns, name)
    return [column.row(row).tolist() for row in range(len(column))]


def branch(path: Path, name: str, tree: str | None = None) -> Any:
    """Return a branch of a file as an awkward array."""
    with open_table(path, tree) as table:
        (piece,) = table.chunks([name])
        return piece[name]


def sums(columns: Columns) -> dict[str, Array]:
    """Return pt, phi, pz and energy of the sums of the constituents."""
    pt, eta, phi, energy = (lists(columns, f"part_{name}") for name in ("pt", "eta", "phi", "energy"))
    momenta = pt.values * np.exp(1j * phi.values.astype(float))
    row, size = pt.row_index(), len(pt)
    total = np.bincount(row, momenta.real, size) + 1j * np.bincount(row, momenta.imag, size)
    return {
        "pt": np.abs(total),
        "phi": np.angle(total),
        "pz": np.bincount(row, pt.values * np.sinh(eta.values.astype(float)), size),
        "energy": np.bincount(row, energy.values, size),
    }


def same_in_pieces(
    name: str, path: Path, monkeypatch: pytest.MonkeyPatch, module: str, **options: Any
) -> None:
    """Assert that pieces of one event give what one piece gives."""
    whole = read(name, path, **options)
    monkeypatch.setattr(f"hepfm.data.readers.{module}.EVENT_ROWS", 1)
    pieces = read(name, path, **options)
    for field in whole:
        np.testing.assert_array_equal(values(pieces, field), values(whole, field))
