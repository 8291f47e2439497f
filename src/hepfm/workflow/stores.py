"""What is known of a store before any run: one that exists, or one that a run is going to make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from hepfm.core.errors import ConfigError, did_you_mean
from hepfm.core.schema import Schema
from hepfm.data.store import Store
from hepfm.workflow.run import Run, Values


@dataclass(frozen=True)
class Source:
    """How a run names the store that it reads.

    Attributes
    ----------
    values
        Part of the run's values, and so of its address.
    parents, paths
        Of `Run`: the run that makes the store, or where it lies.
    """

    values: Values
    parents: Mapping[str, tuple[str, ...]]
    paths: Mapping[str, str]


@dataclass(frozen=True)
class StoreInfo:
    """What is known of a store.

    Attributes
    ----------
    schema, splits
        Its fields, and the number of rows of each split.
    path, fingerprint
        Of a store that exists.
    maker
        The run that makes it; None for one that exists.
    name
        For people.
    counts
        Rows of each class by split and label field, of a store to be made whose classes are not equally many.
    """

    schema: Schema
    splits: Mapping[str, int]
    path: Path | None = None
    fingerprint: str = ""
    maker: Run | None = None
    name: str = ""
    counts: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def source(self) -> Source:
        """How runs name it."""
        if self.maker is not None:
            return Source({}, {"store": (self.maker.name,)}, {})
        return Source({"store": self.fingerprint}, {}, {"store": str(self.path)})

    def check_split(self, split: str) -> int:
        """Return the number of rows of a split; raise `ConfigError` where there is none of that name."""
        if split not in self.splits:
            raise ConfigError(f"the store has no split {split!r}{did_you_mean(split, self.splits)}")
        return self.splits[split]

    def check_rows(self, split: str, rows: int | None, key: str) -> None:
        """Raise `ConfigError` where a split has fewer rows than `key` asks for."""
        available = self.check_split(split)
        if rows is not None and rows > available:
            raise ConfigError(f"{key} asks for {rows:,} rows, split {split!r} of the store has {available:,}")

    def class_counts(self, split: str, label: str) -> dict[str, int]:
        """Return the number of rows of each class in a split."""
        if (split, label) not in self.counts:
            self.counts[split, label] = self._count(split, label)
        return self.counts[split, label]

    def _count(self, split: str, label: str) -> dict[str, int]:
        names = self.schema[label].classes
        if self.path is None:  # simulated: in equal parts
            return dict.fromkeys(names, self.splits.get(split, 0) // max(len(names), 1))
        store = Store.open(self.path)
        classes = np.asarray(store.read([label], store.split(split))[label]).astype(np.int64)
        counts = np.bincount(classes[classes >= 0], minlength=len(names))
        return {name: int(count) for name, count in zip(names, counts, strict=False)}


def existing_store(path: str | Path, name: str = "") -> StoreInfo:
    """Return what is known of a store that exists."""
    store = Store.open(path)
    sizes = {split: len(rows) for split, rows in store.splits.items()}
    return StoreInfo(store.schema, sizes, store.path.resolve(), store.fingerprint, name=name)


def simulated_store(recipe: Values, *, seed: int, name: str = "") -> StoreInfo:
    """Return what is known of the store that a simulation recipe makes."""
    from hepfm.simulate.recipe import read_simulation

    simulation = read_simulation(recipe, seed=seed)
    sizes: Counter[str] = Counter()
    for chunk in simulation.chunks():
        sizes[chunk.split] += chunk.rows
    full = {**simulation.config.model_dump(mode="json"), "description": ""}
    return StoreInfo(
        simulation.schema(), dict(sizes), maker=Run("simulate", {"recipe": full}, note=name), name=name
    )
