"""The stores of a workflow: those that exist, and those that it is going to make."""

from __future__ import annotations

from collections.abc import Mapping

from hepfm.core.config import load_recipe, merge
from hepfm.core.errors import ConfigError, HepfmError
from hepfm.workflow.store_entries import (
    PER_REPLICATE,
    LabelledStore,
    MixedStore,
    SimulatedStore,
    StoreEntry,
    made_of,
)
from hepfm.workflow.stores import StoreInfo, existing_store, simulated_store
from hepfm.workflow.verbs.label import Label
from hepfm.workflow.verbs.mix import Mix


def open_stores(entries: Mapping[str, StoreEntry]) -> dict[str, StoreInfo]:
    """Return what is known of every store; one `ConfigError` names all that cannot be used."""
    stores: dict[str, StoreInfo] = {}
    problems: list[str] = []
    # Those that are made of others come last.
    for name, given in sorted(entries.items(), key=lambda entry: made_of(entry[1]) is not None):
        try:
            if isinstance(given, SimulatedStore):
                stores[name] = _simulated(given, name)
            elif isinstance(given, MixedStore):
                _check_seed(given)
                options = given.model_dump(mode="json", exclude={"mix"})
                stores[name] = Mix.describe(_source(given, stores), options, name=name)
            elif isinstance(given, LabelledStore):
                stores[name] = Label.describe(_source(given, stores), given.labels, name=name)
            else:
                stores[name] = existing_store(given, name)
        except HepfmError as error:
            problems.append(f"store {name!r}: {error}")
    if problems:
        raise ConfigError("\n".join(problems))
    return stores


def _simulated(given: SimulatedStore, name: str) -> StoreInfo:
    from hepfm.simulate.recipe import kind_of

    values = merge(load_recipe(given.simulate, "simulate"), given.options)
    return simulated_store(merge(values, {kind_of(values): given.rows}), seed=given.seed, name=name)


def _check_seed(given: MixedStore) -> None:
    if given.seed == PER_REPLICATE:
        raise ConfigError(
            f"seed: {PER_REPLICATE} is for stores that the tasks of a study read; give a number"
        )


def _source(given: MixedStore | LabelledStore, stores: Mapping[str, StoreInfo]) -> StoreInfo:
    """Return the store that another one is made of."""
    source = str(made_of(given))
    if source not in stores:
        raise ConfigError(f"it is made of {source!r}, which cannot be used itself or is made of another")
    return stores[source]
