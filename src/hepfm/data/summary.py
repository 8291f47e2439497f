"""What is in a store, for people and scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.schema import Level
from hepfm.data import FEATURE_SETS, feature_set
from hepfm.data.splits import format_fractions
from hepfm.data.store import Store
from hepfm.data.weights import check_usable, sum_weights

SAMPLE = 100_000
"""Rows from which mean lengths are taken, so that a look at a large store stays quick."""


@dataclass(frozen=True)
class StoreSummary:
    """Counts of a store.

    Attributes
    ----------
    splits
        Rows of each split.
    classes
        Rows of each class in each split; empty without a label.
    lengths
        Mean number of entries per row of each deeper level, over the first `SAMPLE` rows.
    feature_sets
        The feature sets that the store has the fields for.
    size
        Bytes on disk.
    weight
        Field of the event weight, or None.
    """

    splits: dict[str, int]
    classes: dict[str, dict[str, int]]
    lengths: dict[str, float]
    feature_sets: list[str]
    size: int
    weight: str | None = None


def summarize(store: Store) -> StoreSummary:
    """Count rows, classes and lengths of a store."""
    schema = store.schema
    levels = [level for level in Level if level is not schema.row and schema.names(level)]
    sample = range(min(SAMPLE, store.num_rows))
    return StoreSummary(
        splits={name: len(rows) for name, rows in store.splits.items()},
        classes={name: _classes(store, rows) for name, rows in store.splits.items()} if schema.label else {},
        lengths={str(level): float(store.lengths(level, sample).mean()) for level in levels if len(sample)},
        feature_sets=[name for name in FEATURE_SETS if not feature_set(name).missing(schema)],
        size=sum(shard.bytes for shard in store.manifest.shards),
        weight=schema.weight,
    )


def describe_weights(store: Store) -> list[str]:
    """Return a line for the event weights of each split; none without the role `weight`.

    Raises
    ------
    DataError
        When weights of a split are not finite or all zero.
    """
    field, lines = store.schema.weight, []
    if field is None:
        return []
    for split, rows in store.splits.items():
        sums = sum_weights(store, field, rows)
        check_usable(sums, field, where=f"{store.path}, split {split}")
        lines.append(f"  {split} weights ({field}): {sums.line()}")
    return lines


def _classes(store: Store, rows: range) -> dict[str, int]:
    label, classes = store.schema.label, store.schema.label_classes
    if label is None or not classes:
        return {}
    counts = np.bincount(np.asarray(store.read([label], rows)[label]), minlength=len(classes))
    return dict(zip(classes, counts.tolist(), strict=True))


def describe(store: Store) -> list[str]:
    """Return a summary in lines."""
    summary = summarize(store)
    lines = [f"{store.path}: {store.num_rows} rows ({store.schema.row}), {summary.size / 1e6:.1f} MB"]
    lines += [f"  {split}: {count}" for split, count in summary.splits.items()]
    for split, counts in summary.classes.items():
        present = {name: count for name, count in counts.items() if count}
        lines += [f"  {split} by class: {', '.join(f'{name} {count}' for name, count in present.items())}"]
    lines += [f"  {level}s a row: {mean:.1f} on average" for level, mean in summary.lengths.items()]
    lines += [f"  fields: {', '.join(store.schema.names())}"]
    lines += [f"  event weight: {summary.weight}"] if summary.weight else []
    lines += [f"  feature sets: {', '.join(summary.feature_sets) or 'none'}"]
    return [*lines, f"  fingerprint: {store.fingerprint}", *_provenance(store.manifest.provenance)]


def _provenance(provenance: Any) -> list[str]:
    facts = [f"  {key}: {value}" for key, value in provenance.items() if isinstance(value, str | int | float)]
    draws = [
        f"  drawn by {draw['by']}: {format_fractions(draw['fractions'])} (seed {draw['seed']})"
        for draw in provenance.get("splits", ())
    ]
    return [*facts, *draws]
