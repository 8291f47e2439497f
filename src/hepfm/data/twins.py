"""Rows that come more than once: in two splits they make every test too good, within one they count twice.

What makes a row is its lists: the constituents or hits that were measured, in whatever order. Fields of the
row are left out: the label, weight or group of a copy may differ, and observers such as the number of the
event, which the schema does not tell from measured fields, would hide it. Rows without lists are compared by
all their continuous numbers and angles but label and weight. Rows with nothing measured (no constituent) are
not compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.log import logger
from hepfm.core.ragged import Array, Columns, Ragged
from hepfm.core.rng import mixed_bits
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.split_store import read_pieces
from hepfm.data.store import Store

NOTHING = np.uint64(0)
"""Hash of a row with nothing measured."""


@dataclass(frozen=True)
class _Piece:
    """Hashes of the rows of a piece, the split of each as a place in `splits`, and where they come from."""

    hashes: Array
    codes: Array
    splits: tuple[str, ...]
    where: str
    first_row: int

    def of(self, split: str) -> Array:
        """Return the numbers of the rows of a split within the piece."""
        return np.flatnonzero(self.codes == self.splits.index(split)) if split in self.splits else _NO_ROWS


_NO_ROWS = np.zeros(0, np.int64)


class Twins:
    """Looks for rows that come more than once; it keeps nine bytes of each row, at the end twice as many.

    Two different rows among N have the same hash with a probability of about N² / 4e19.

    Parameters
    ----------
    schema
        The fields.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._pieces: list[_Piece] = []

    def look(
        self, columns: Columns, splits: Sequence[str], codes: Array, *, where: str, first_row: int
    ) -> None:
        """Look at rows on their way into a store.

        Parameters
        ----------
        columns
            The rows.
        splits
            Names of splits.
        codes
            Place in `splits` of the split of each row, (rows,).
        where, first_row
            The file, and the number of the first row in it, for messages.
        """
        self._pieces.append(_Piece(row_hashes(columns, self.schema), codes, tuple(splits), where, first_row))

    def check(self, *, allow_shared: bool = False, cure: str = "") -> int:
        """Warn about rows that come more than once in a split; refuse those that are in two splits.

        Parameters
        ----------
        allow_shared
            Warn about rows in two splits instead.
        cure
            What to do about them, for the message.

        Returns
        -------
        number
            Different rows that are in two splits.

        Raises
        ------
        DataError
            When a row is in two splits; names both places.
        """
        different = {split: self._different(split) for split in self._splits()}
        number = 0
        for first, second in combinations(different, 2):
            shared = _common(different[first], different[second])
            number += len(shared)
            if not len(shared):
                continue
            text = self._said(first, second, shared)
            if not allow_shared:
                raise DataError(f"{text}; a test would measure what was trained on{cure and f'; {cure}'}")
            logger.warning("%s", text)
        return number

    def _splits(self) -> list[str]:
        return list(dict.fromkeys(split for piece in self._pieces for split in piece.splits))

    def _hashes(self, split: str) -> Array:
        found = np.concatenate([piece.hashes[piece.of(split)] for piece in self._pieces])
        return found[found != NOTHING]

    def _different(self, split: str) -> Array:
        """Return the hashes of a split, rising, each once; log how many there are more than once."""
        hashes = np.sort(self._hashes(split))
        again = hashes[1:] == hashes[:-1]
        if not again.any():
            return hashes
        places = self._places(split, hashes[1:][np.argmax(again)])
        first, second = next(places), next(places)
        logger.warning(
            "%d of %d rows of split %r are copies of others in it, e.g. %s, as %s",
            int(again.sum()),
            len(hashes),
            split,
            second,
            first,
        )
        return hashes[np.append(True, ~again)]

    def _said(self, first: str, second: str, shared: Array) -> str:
        one, other = (next(self._places(split, shared[0])) for split in (first, second))
        more = f", and {len(shared) - 1} more" if len(shared) > 1 else ""
        return f"the same row is in two splits: {one} in {first!r} and {other} in {second!r}{more}"

    def _places(self, split: str, wanted: np.uint64) -> Iterator[str]:
        """Yield where the rows of a split with a hash come from."""
        for piece in self._pieces:
            rows = piece.of(split)
            for row in rows[piece.hashes[rows] == wanted]:
                yield f"row {piece.first_row + row} of {piece.where}"


def check_twins(store: Store) -> int:
    """Look for rows of a store that come more than once, as `Twins.check` does.

    Copies that were kept on purpose when the store was made are only warned about.
    """
    twins = Twins(store.schema)
    for split, all_rows in store.splits.items():
        for columns, rows in read_pieces(store, all_rows):
            twins.look(
                columns, (split,), np.zeros(len(rows), np.int8), where=store.name, first_row=rows.start
            )
    cure = "make the store again without them in one of both"
    return twins.check(allow_shared=bool(store.provenance.get("allow_shared")), cure=cure)


def row_hashes(columns: Columns, schema: Schema) -> Array:
    """Return 64 bits for each row, uint64 (rows,), which differ where what was measured does.

    The order of the entries of a list does not matter, nor that of the fields.
    """
    rows = len(next(iter(columns.values())))
    total, entries = np.zeros(rows, np.uint64), np.zeros(rows, np.int64)
    levels = [level for level in Level if level is not schema.row and schema.names(level)]
    if not levels:
        fields = [field for field in schema if _is_measured(field, schema)]
        return _entry_hashes(columns, fields) if fields else total
    for level in levels:
        fields = [field for field in schema if field.level is level]
        first = columns[fields[0].name]
        assert isinstance(first, Ragged)
        sums = np.append(NOTHING, np.cumsum(_entry_hashes(columns, fields), dtype=np.uint64))
        total += mixed_bits((sums[first.offsets[1:]] - sums[first.offsets[:-1]]) ^ _key(level))
        entries += first.lengths
    return np.where(entries > 0, total, NOTHING)


def _is_measured(field: Field, schema: Schema) -> bool:
    return field.kind in (Kind.CONTINUOUS, Kind.ANGLE) and field.name not in (schema.label, schema.weight)


def _entry_hashes(columns: Columns, fields: Sequence[Field]) -> Array:
    """Return 64 bits for each entry of fields of one level; they depend on all its values, as stored."""
    total: Array | None = None
    for field in fields:
        column = columns[field.name]
        values = np.asarray(column.values if isinstance(column, Ragged) else column).astype(field.dtype)
        bits = mixed_bits(_bits(values) ^ _key(field.name))
        total = bits if total is None else total + bits
    assert total is not None
    return mixed_bits(total)


def _bits(values: Array) -> Array:
    """Return numbers as uint64, equal ones as equal bits."""
    values = values + values.dtype.type(0) if values.dtype.kind == "f" else values  # -0.0 becomes 0.0
    return values.view(f"u{values.dtype.itemsize}").astype(np.uint64)


def _key(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))


def _common(first: Array, second: Array) -> Array:
    """Return what is in both of two rising arrays, with less memory than `np.intersect1d`."""
    few, many = sorted((first, second), key=len)
    if not len(few):
        return few
    places = np.minimum(np.searchsorted(many, few), len(many) - 1)
    return few[many[places] == few]
