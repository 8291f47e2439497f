"""Classes of a label that training rows lack: refused unless the recipe names them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import ConfigError, DataError, did_you_mean
from hepfm.core.log import logger
from hepfm.core.ragged import Ragged
from hepfm.core.schema import Field, Kind, Schema
from hepfm.data.store import Store


def check_classes(
    store: Store,
    rows: npt.NDArray[np.int64],
    *,
    labels: Sequence[str],
    lacking: Collection[str] = (),
) -> None:
    """Refuse rows that lack a class of a label: a head would learn never to say it.

    Parameters
    ----------
    store
        The data.
    rows
        The training rows.
    labels
        Fields that are learned; those without classes are passed over.
    lacking
        Classes that rows may lack.

    Raises
    ------
    DataError
        For a class that no row has and that `lacking` does not name.
    ConfigError
        For a name in `lacking` that is no class of a label.
    """
    fields = [store.schema[name] for name in labels if store.schema[name].kind is Kind.CATEGORICAL]
    known = [name for field in fields for name in field.classes]
    for name in lacking:
        if name not in known:
            raise ConfigError(f"data.lacking: no label has a class {name!r}{did_you_mean(name, known)}")
    for field in fields:
        counts = class_counts(store, rows, field)
        absent = [name for name, count in counts.items() if count == 0]
        refused = [name for name in absent if name not in lacking]
        if refused:
            raise DataError(
                f"none of the {len(rows)} training rows of {store.path} has {field.name} "
                f"{' or '.join(refused)} (rows of each class: {_words(counts)}); take more rows, or data "
                f"with this class, or allow it to be absent with data.lacking=[{','.join(absent)}]"
            )
        if absent:
            logger.info("training rows without %s (%s)", " or ".join(absent), _words(counts))


def tell_single(schema: Schema, labels: Sequence[str]) -> None:
    """Warn of labels with one class: an objective that needs them learns nothing, e.g. on unlabelled data."""
    for field in (schema[name] for name in labels):
        if len(field.classes) == 1:
            logger.warning(
                "%s has one class, %s: it teaches nothing; take an objective without labels",
                field.name,
                field.classes[0],
            )


def tell_undrawn(
    store: Store, split: npt.NDArray[np.int64], drawn: npt.NDArray[np.int64], *, labels: Sequence[str]
) -> None:
    """Warn of classes that the split has and a draw of training rows misses: they are never predicted."""
    for name in labels:
        field = store.schema[name]
        if field.kind is Kind.CATEGORICAL:
            there, counts = class_counts(store, split, field), class_counts(store, drawn, field)
            missed = [label for label, count in counts.items() if count == 0 and there[label]]
            if missed:
                logger.warning("no training row has %s %s (%s)", name, " or ".join(missed), _words(counts))


def class_counts(store: Store, rows: npt.NDArray[np.int64], field: Field) -> dict[str, int]:
    """Return the number of rows of each class of a field, or of their constituents."""
    column = store.read([field.name], np.sort(rows))[field.name]
    numbers = column.values if isinstance(column, Ragged) else column
    return dict(zip(field.classes, np.bincount(numbers, minlength=len(field.classes)).tolist(), strict=False))


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
