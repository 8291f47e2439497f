"""What rows a generation is asked for: their classes, and their context where that is taken from data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import ConfigError, DataError, IncompatibleError, did_you_mean
from hepfm.core.ragged import Array
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Field, Level
from hepfm.data.row_source import RowSource
from hepfm.models.directory import Model

Classes = Sequence[str] | Mapping[str, float] | None
"""Classes to make evenly, or their fractions (numbers of rows are good too); None for all evenly."""


@dataclass(frozen=True)
class GenerationRequest:
    """The rows to make.

    Attributes
    ----------
    label_R
        Class numbers; None for rows of no given class.
    context_RC
        Context features in physical units; None to draw them from what was learned.
    num_rows
        How many there are.
    """

    label_R: npt.NDArray[np.int64] | None
    context_RC: Array | None
    num_rows: int


def from_classes(label: Field | None, classes: Classes, *, n: int, seed: int) -> GenerationRequest:
    """Return `n` rows of the classes, in random order, their fractions kept to within one row.

    Raises
    ------
    ConfigError
        For a class that the model was not trained on, or invalid class fractions.
    """
    if label is None:
        if classes is not None:
            raise ConfigError("this model was trained without classes; leave out --classes")
        return GenerationRequest(None, None, n)
    fractions = _fractions(label.classes, classes)
    counts = np.diff(np.round(n * np.cumsum([0.0, *fractions]) / fractions.sum()).astype(np.int64))
    label_R = np.repeat(np.arange(len(fractions)), counts)
    return GenerationRequest(numpy_generator(seed, "generate.classes").permutation(label_R), None, n)


def _fractions(known: tuple[str, ...], classes: Classes) -> npt.NDArray[np.float64]:
    if classes is None:
        return np.ones(len(known))
    asked = dict(classes) if isinstance(classes, Mapping) else dict.fromkeys(classes, 1.0)
    for name, fraction in asked.items():
        if name not in known:
            raise ConfigError(f"the model makes no class {name!r}{did_you_mean(name, known)}")
        if not fraction >= 0:
            raise ConfigError(f"the fraction of class {name!r} must not be below 0, got {fraction}")
    fractions = np.array([float(asked.get(name, 0.0)) for name in known])
    if not fractions.sum() > 0:
        raise ConfigError("no class has a fraction above 0; name at least one of them")
    return fractions


def from_store(model: Model, label: Field | None, source: RowSource, *, n: int | None) -> GenerationRequest:
    """Return classes and context of the first `n` rows (all when None) of a store's test split.

    Raises
    ------
    IncompatibleError
        When the model has no context, or the store lacks what it is made of, or has classes that the model
        does not.
    DataError
        When the split has fewer rows.
    """
    context = model.context
    if context is None:
        raise IncompatibleError(
            "this model is not conditioned on the whole row, so there is nothing to take from a store; leave "
            "out --like, or pre-train with data.context=jet"
        )
    missing = context.missing(source.schema)
    if missing:
        raise IncompatibleError(
            f"{source.name} lacks {', '.join(missing)}, on which this model is conditioned"
        )
    rows = np.arange(len(source))[source.split("test")]
    if n is not None and n > len(rows):
        raise DataError(f"{n} rows asked for and the test split of {source.name} has {len(rows)}")
    rows = rows[:n]
    lengths = np.clip(source.lengths(Level.CONSTITUENT, rows), 1, model.max_constituents)
    columns = source.read(context.columns, rows)
    return GenerationRequest(_labels(label, source, rows), context.compute(columns, lengths), len(rows))


def _labels(
    label: Field | None, source: RowSource, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | None:
    """Return the model's class numbers of rows, matched by the names of the classes."""
    theirs = source.schema.label_classes
    if label is None or not theirs or source.schema.label is None:
        return None
    lacking = [name for name in theirs if name not in label.classes]
    if lacking:
        raise IncompatibleError(
            f"the model makes no {', '.join(lacking)}, classes of {source.name}; it makes "
            f"{', '.join(label.classes)}"
        )
    number = np.array([label.classes.index(name) for name in theirs])
    return np.asarray(number[np.asarray(source.read([source.schema.label], rows)[source.schema.label])])
