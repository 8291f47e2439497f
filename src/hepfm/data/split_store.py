"""Random splits of a store that is there already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from hepfm.core.errors import DataError
from hepfm.core.log import progress
from hepfm.core.ragged import Columns
from hepfm.data.splits import Dealer, SplitDraw
from hepfm.data.store import Store
from hepfm.data.writer import StoreWriter

CHUNK_ROWS = 10_000
"""Rows in memory at once."""


def split_store(
    store: str | Path | Store,
    output: str | Path,
    *,
    split: Mapping[str, float],
    seed: int = 0,
    of: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the rows of a store with other splits, drawn at random, and return the path of the new store.

    Parameters
    ----------
    store
        The store.
    output
        The store to make.
    split
        Fractions, e.g. ``{"train": 0.9, "val": 0.1}``: by group where the schema has the role `group`, else
        by row. Rows keep their order, and where a row goes depends only on `seed` and its group or its number
        among the rows that are split.
    seed
        Of the draw.
    of
        Split whose rows are drawn; the others stay as they are. By default all rows are, and old splits are
        forgotten.
    overwrite
        Replace a store that is already there.

    Raises
    ------
    DataError
        When fractions do not sum to 1, a split gets no row, there is no split `of`, or one that stays has the
        name of a new one.
    """
    source = store if isinstance(store, Store) else Store.open(store)
    steps = list(source.provenance.get("splits", ()))
    draw = SplitDraw(split, seed, earlier=len(steps))
    drawn = range(source.num_rows) if of is None else source.split(of)
    kept = {} if of is None else {name: rows for name, rows in source.splits.items() if name != of}
    for name in draw.names:
        if name in kept:
            raise DataError(
                f"{source.path} has a split {name!r}, which stays as it is; choose another name for the rows "
                f"drawn of {of!r}, or split all rows"
            )
    dealer = Dealer(draw, source.schema.group)
    step = {**dealer.provenance(), "of": of, "store_fingerprint": source.fingerprint}
    provenance = {**source.provenance, "splits": [*steps, step]}
    with (
        StoreWriter(output, source.schema, provenance=provenance, overwrite=overwrite) as writer,
        progress("split", source.num_rows) as advance,
    ):
        for columns, rows in read_pieces(source, drawn):
            writer.deal(columns, draw.names, dealer.codes(columns))
            advance(len(rows))
        dealer.check()
        for name, all_rows in kept.items():
            for columns, rows in read_pieces(source, all_rows):
                writer.write(columns, split=name)
                advance(len(rows))
    return writer.path


def read_pieces(store: Store, rows: range) -> Iterator[tuple[Columns, range]]:
    """Yield all columns of rows in pieces of `CHUNK_ROWS`, with the numbers of the rows."""
    for start in range(rows.start, rows.stop, CHUNK_ROWS):
        piece = range(start, min(start + CHUNK_ROWS, rows.stop))
        yield store.read(store.schema.names(), piece), piece
