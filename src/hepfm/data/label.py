"""``hepfm data label``: a store with labels that are made of its generator particles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.log import logger, progress
from hepfm.data.event_labels import PREFIX, is_generator, read_label_set
from hepfm.data.split_store import read_pieces
from hepfm.data.store import Store
from hepfm.data.writer import StoreWriter


def label(
    store: str | Path | Store,
    output: str | Path,
    *,
    labels: str | Path | Mapping[str, Any],
    overwrite: bool = False,
) -> Path:
    """Write a store of events with labels made of its generator particles; return the path of the new store.

    Parameters
    ----------
    store
        The store; its rows are events with generator objects (`hepfm.data.schemas.events`).
    output
        The store to make.
    labels
        A label set, `hepfm.data.event_labels.LabelSet`: the name of a built-in one, a file, or its values.
    overwrite
        Replace a store that is already there.

    Raises
    ------
    ConfigError
        With every mistake of the label set.
    IncompatibleError
        When the rows are no events, or have no fields of generator objects.
    DataError
        When no event has a generator object, or the store has such labels already.
    """
    source = store if isinstance(store, Store) else Store.open(store)
    label_set = read_label_set(labels)
    schema = label_set.labelled(source.schema)
    provenance = {
        **source.provenance,
        "labels": label_set.model_dump(mode="json"),
        "labelled_store_fingerprint": source.fingerprint,
    }
    generated = 0
    with (
        StoreWriter(output, schema, provenance=provenance, overwrite=overwrite) as writer,
        progress("label", source.num_rows) as advance,
    ):
        for split, rows in source.splits.items():
            for columns, piece in read_pieces(source, rows):
                generated += int(is_generator(columns).sum())
                writer.write({**columns, **label_set.compute(columns)}, split=split)
                advance(len(piece))
        if not generated:
            raise DataError(
                f"no event of {source.path} has a generator object, of which labels could be made; simulate "
                "events with their truth"
            )
    _tell_constant(shares(writer.path))
    return writer.path


def shares(store: str | Path | Store) -> dict[str, float]:
    """Return by label the share of the rows in which it is ``yes``."""
    opened = store if isinstance(store, Store) else Store.open(store)
    names = [name for name in opened.schema.names() if name.startswith(PREFIX)]
    columns = opened.read(names)
    return {name: float(np.asarray(columns[name]).mean()) for name in names}


def _tell_constant(found: Mapping[str, float]) -> None:
    """Warn of labels that are the same in all rows: they teach nothing."""
    for name, share in found.items():
        if share in (0.0, 1.0):
            logger.warning("%s is %s in all rows: it teaches nothing", name, "yes" if share else "no")
