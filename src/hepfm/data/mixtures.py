"""Weak supervision: two samples that differ by the signal that one of them holds, in place of true labels.

A classifier that tells the samples apart orders rows as one that tells signal from background does (CWoLa,
1708.02949). In the idealised form of 2401.13537 and 2409.12589, which is made here, the background of both
samples is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hepfm.core.errors import DataError, did_you_mean
from hepfm.core.ragged import Array, Columns
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Field, Kind, Schema
from hepfm.data.groups import read_groups
from hepfm.data.row_source import Index
from hepfm.data.store import Store
from hepfm.data.writer import StoreWriter

SAMPLE = "sample"
"""Field that says which sample a row is in."""
PURE, MIXED = SAMPLES = ("pure", "mixed")
_CHUNK = 10_000


def mix(
    store: str | Path | Store,
    output: str | Path,
    *,
    signal: str,
    background: str,
    count: int,
    seed: int = 0,
    overwrite: bool = False,
) -> Path:
    """Write a store for weak supervision: its label is the sample that a row is in, not its true class.

    In the splits for training and validation half of the background is ``pure``; the other half and the
    signal are ``mixed``. The training split gets `count` rows of signal, the validation split as many for
    its rows. In the test split all rows of both classes are kept, and ``mixed`` are those of signal: there
    the field says what the classifier is to find. The true label stays, as a field without the role.

    Rows of one group (the schema's role `group`) are never in both samples of a split for training or
    validation. Those of a group that holds drawn signal are mixed, and a group that would reach beyond half
    of the background is mixed whole, so that ``pure`` may be smaller than half.

    Parameters
    ----------
    store
        With the label of the schema as true class.
    output
        The store to make.
    signal, background
        Classes of the label.
    count
        Rows of signal in the training split.
    seed
        Of the draws.
    overwrite
        Replace a store that is already there.

    Raises
    ------
    DataError
        When the store has no such classes, too few rows of them, or no group that could be ``pure``.
    """
    source = store if isinstance(store, Store) else Store.open(store)
    schema, label = mixed_schema(source.schema), str(source.schema.label)
    classes = source.schema.label_classes
    truth = np.asarray(source.read([label])[label]).astype(int)
    sizes = sample_sizes(
        {split: _counts(truth[np.asarray(rows)], classes) for split, rows in source.splits.items()},
        signal=signal,
        background=background,
        count=count,
        where=str(source.path),
    )
    numbers = classes.index(signal), classes.index(background)
    provenance = {
        "source": "weak supervision",
        "signal": signal,
        "background": background,
        "signal_rows": count,
        "seed": seed,
        "store_fingerprint": source.fingerprint,
    }
    with StoreWriter(output, schema, provenance=provenance, overwrite=overwrite) as writer:
        for split in source.splits:
            rows, mixed = _samples(source, split, truth, numbers, sizes[split], seed)
            for columns in _pieces(source, rows, mixed):
                writer.write(columns, split=split)
    return writer.path


def sample_sizes(
    counts: Mapping[str, Mapping[str, int]],
    *,
    signal: str,
    background: str,
    count: int,
    where: str = "the store",
) -> dict[str, dict[str, int]]:
    """Return how many rows each sample has in each split; rows of one group may move some to ``mixed``.

    Parameters
    ----------
    counts
        Rows of each class in each split of the store that is mixed.
    signal, background, count
        As for `mix`.
    where
        The store, for messages.

    Raises
    ------
    DataError
        When there are no such classes, or too few rows of them.
    """
    classes = list(next(iter(counts.values()), {}))
    for name in (signal, background):
        if name not in classes:
            raise DataError(f"{where} has no class {name!r}{did_you_mean(name, classes)}")
    if signal == background:
        raise DataError(f"signal and background are both {signal!r}")
    if count < 0:
        raise DataError(f"a number of rows of signal is not negative, got {count}")
    train = sum(counts.get("train", {}).values())
    sizes = {}
    for split, rows in counts.items():
        # All rows are for the test; validation has the signal fraction of training.
        wanted = rows[signal] if split == "test" else round(count * sum(rows.values()) / max(train, 1))
        pure = rows[background] if split == "test" else rows[background] // 2
        if rows[signal] < wanted:
            raise DataError(
                f"split {split!r} of {where} has {rows[signal]} rows of signal, {wanted} are asked for"
            )
        if rows[background] < 2:
            raise DataError(
                f"split {split!r} of {where} has {rows[background]} rows of background ({background})"
            )
        sizes[split] = {PURE: pure, MIXED: rows[background] - pure + wanted}
    return sizes


def mixed_schema(schema: Schema) -> Schema:
    """Return the schema of a store with two samples: that of the store it is made of, with another label."""
    if SAMPLE in schema:
        raise DataError(f"the store has a field {SAMPLE!r} already; mix the store that it was made of")
    if not schema.label_classes:
        raise DataError("the store has no label with classes, of which signal and background could be taken")
    field = Field(
        SAMPLE,
        schema.row,
        Kind.CATEGORICAL,
        dtype="int8",
        classes=SAMPLES,
        description="sample of weak supervision; in the test split mixed is signal",
    )
    return replace(schema, fields=(*schema.fields, field), label=SAMPLE)


def _counts(truth: Array, classes: Sequence[str]) -> dict[str, int]:
    numbers = np.bincount(truth[truth >= 0], minlength=len(classes))
    return {name: int(number) for name, number in zip(classes, numbers, strict=True)}


def _samples(
    source: Store,
    split: str,
    truth: Array,
    numbers: tuple[int, int],
    sizes: Mapping[str, int],
    seed: int,
) -> tuple[Index, Array]:
    """Return the rows of a split that are kept, rising, and whether each is of the mixed sample."""
    rows = np.asarray(source.split(split))
    signal, background = (rows[truth[rows] == number] for number in numbers)
    pure = background
    if split != "test":
        rng = numpy_generator(seed, f"mixtures.{split}")
        signal = _by_group(source, signal, rng)[: sizes[PURE] + sizes[MIXED] - len(background)]
        pure = _pure(source, _by_group(source, background, rng), signal, sizes[PURE])
        if not len(pure):
            raise DataError(
                f"split {split!r} of {source.path} has no group of background rows for the sample {PURE!r}: "
                f"each has signal that was drawn, or more than {sizes[PURE]} rows; take less signal or "
                "more rows"
            )
    chosen = np.sort(np.concatenate([signal, background]))
    return chosen, ~np.isin(chosen, pure)


def _groups(source: Store, rows: Index) -> Index:
    """Return the group of each row; where nothing says so, each is one of its own."""
    return rows if source.schema.group is None else read_groups(source, rows)


def _by_group(source: Store, rows: Index, rng: np.random.Generator) -> Index:
    """Return rows with groups in random order, the rows of each side by side."""
    numbers, member = np.unique(_groups(source, rows), return_inverse=True)
    place = np.argsort(rng.permutation(len(numbers)))
    return rows[np.argsort(place[member], kind="stable")]


def _pure(source: Store, background: Index, signal: Index, limit: int) -> Index:
    """Return the first rows of the background, whole groups without signal, `limit` of them at most."""
    groups = _groups(source, background)
    free = ~np.isin(groups, _groups(source, signal))
    background, groups = background[free], groups[free]
    ends = np.flatnonzero(np.append(groups[1:] != groups[:-1], True)) + 1 if len(groups) else groups
    return background[: max(ends[ends <= limit], default=0)]


def _pieces(source: Store, rows: Index, mixed: Array) -> Iterator[Columns]:
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        columns = source.read(source.schema.names(), rows[part])
        yield {**columns, SAMPLE: mixed[part].astype(np.int8)}
