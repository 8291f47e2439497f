"""Stores of which every replicate of a study has one of its own: mixtures with draws of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from hepfm.workflow.store_entries import PER_REPLICATE, MixedStore, StoreEntry

_MARK = "@"
"""Between the name of a store and the replicate; no name of a study file has it."""

T = TypeVar("T")


def is_own(entry: StoreEntry) -> bool:
    """Tell whether every replicate has a store of its own."""
    return isinstance(entry, MixedStore) and entry.seed == PER_REPLICATE


def with_replicates(entries: Mapping[str, StoreEntry], replicates: Iterable[int]) -> dict[str, StoreEntry]:
    """Return entries in which a mixture of each replicate's own is one entry for each of them."""
    found: dict[str, StoreEntry] = {}
    for name, entry in entries.items():
        if is_own(entry):
            for number in replicates:
                found[f"{name}{_MARK}{number}"] = entry.model_copy(update={"seed": number})  # type: ignore[union-attr]
        else:
            found[name] = entry
    return found


def store_of(stores: Mapping[str, T], name: str, replicate: int) -> T:
    """Return the store of a name that a replicate reads: its own, or the one of all."""
    own = f"{name}{_MARK}{replicate}"
    return stores[own] if own in stores else stores[name]


def shared_name(name: str) -> str:
    """Return the name in the study file.

    >>> shared_name("mixed@3"), shared_name("mixed")
    ('mixed', 'mixed')
    """
    return name.partition(_MARK)[0]
