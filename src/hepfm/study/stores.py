"""The stores of a study: those that exist, and those that it is going to simulate."""

from __future__ import annotations

from hepfm.core.config import load_recipe, merge
from hepfm.core.errors import ConfigError, HepfmError
from hepfm.study.config import SimulatedStore, StudyConfig
from hepfm.workflow.stores import StoreInfo, existing_store, simulated_store


def open_stores(config: StudyConfig) -> dict[str, StoreInfo]:
    """Return what is known of every store; one `ConfigError` names all that cannot be used."""
    stores: dict[str, StoreInfo] = {}
    problems: list[str] = []
    for name, given in config.stores.items():
        try:
            stores[name] = (
                _simulated(given, name) if isinstance(given, SimulatedStore) else existing_store(given, name)
            )
        except HepfmError as error:
            problems.append(f"store {name!r}: {error}")
    if problems:
        raise ConfigError("\n".join(problems))
    return stores


def _simulated(given: SimulatedStore, name: str) -> StoreInfo:
    from hepfm.simulate.recipe import kind_of

    values = merge(load_recipe(given.simulate, "simulate"), given.options)
    return simulated_store(merge(values, {kind_of(values): given.rows}), seed=given.seed, name=name)
