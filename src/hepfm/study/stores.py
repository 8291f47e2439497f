"""The stores of a study: those that exist, and those that it is going to simulate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.config import load_recipe, merge
from hepfm.core.errors import ConfigError, HepfmError
from hepfm.core.schema import Schema
from hepfm.data.store import Store
from hepfm.study.config import SimulatedStore, StudyConfig


@dataclass(frozen=True)
class StoreInfo:
    """What is known of a store before any run.

    Attributes
    ----------
    schema, splits
        Its fields, and the number of rows of each split.
    path, fingerprint
        Of a store that exists.
    recipe
        Full values of the simulation that makes it; None for one that exists.
    """

    schema: Schema
    splits: Mapping[str, int]
    path: Path | None = None
    fingerprint: str = ""
    recipe: dict[str, Any] | None = None

    def class_counts(self, split: str, field: str) -> dict[str, int]:
        """Return the number of rows of each class in a split."""
        names = self.schema[field].classes
        if self.path is None:
            return dict.fromkeys(names, self.splits.get(split, 0) // max(len(names), 1))
        store = Store.open(self.path)
        labels = np.asarray(store.read([field], store.split(split))[field]).astype(np.int64)
        counts = np.bincount(labels[labels >= 0], minlength=len(names))
        return {name: int(count) for name, count in zip(names, counts, strict=False)}


def open_stores(config: StudyConfig) -> dict[str, StoreInfo]:
    """Return what is known of every store; one `ConfigError` names all that cannot be used."""
    found: dict[str, StoreInfo] = {}
    problems: list[str] = []
    for name, given in config.stores.items():
        try:
            found[name] = _simulated(given) if isinstance(given, SimulatedStore) else _existing(given)
        except HepfmError as error:
            problems.append(f"store {name!r}: {error}")
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def _existing(path: str) -> StoreInfo:
    store = Store.open(path)
    sizes = {name: len(rows) for name, rows in store.splits.items()}
    return StoreInfo(store.schema, sizes, store.path.resolve(), store.fingerprint)


def _simulated(given: SimulatedStore) -> StoreInfo:
    from hepfm.simulate.recipe import kind_of, read_simulation

    values = merge(load_recipe(given.simulate, "simulate"), given.options)
    simulation = read_simulation(merge(values, {kind_of(values): given.rows}), seed=given.seed)
    sizes: Counter[str] = Counter()
    for chunk in simulation.chunks():
        sizes[chunk.split] += chunk.rows
    full = {**simulation.config.model_dump(mode="json"), "description": ""}
    return StoreInfo(simulation.schema(), dict(sizes), recipe=full)
