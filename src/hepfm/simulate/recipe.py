"""Reading a simulation recipe: its key ``kind`` says what is simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hepfm.core.config import load_recipe, validate
from hepfm.core.errors import ConfigError, did_you_mean
from hepfm.simulate import SIMULATIONS
from hepfm.simulate.simulation import Simulation

DEFAULT_KIND = "jets"
"""What a recipe without ``kind`` makes."""


def read_simulation(
    recipe: str | Path | Mapping[str, Any], *, overrides: Sequence[str] = (), seed: int | None = None
) -> Simulation:
    """Read and check a recipe.

    Parameters
    ----------
    recipe
        Name of a built-in recipe, path of a YAML file, or plain values.
    overrides
        ``key=value`` texts laid over a named or written recipe.
    seed
        Replaces the recipe's seed.

    Raises
    ------
    ConfigError
        For a kind that does not exist, and for mistakes in the recipe.
    """
    values, where = _values(recipe, overrides)
    if seed is not None:
        values = {**values, "seed": seed}
    kind = kind_of(values, where=where)
    cls: type[Simulation] = SIMULATIONS.load(kind)
    return cls(validate(cls.Config, values, where=f"{where} (kind: {kind})"))


def kind_of(values: Mapping[str, Any], *, where: str = "recipe") -> str:
    """Return the kind of simulation that a recipe asks for.

    >>> kind_of({"jets": {"train": 10}}), kind_of({"kind": "showers"})
    ('jets', 'showers')
    """
    kind = values.get("kind", DEFAULT_KIND)
    if kind not in list(SIMULATIONS):
        raise ConfigError(
            f"{where}: there is no simulation of the kind {kind!r}{did_you_mean(str(kind), SIMULATIONS)}"
        )
    return str(kind)


def _values(
    recipe: str | Path | Mapping[str, Any], overrides: Sequence[str]
) -> tuple[Mapping[str, Any], str]:
    """Return what a recipe says, and how messages call it."""
    if isinstance(recipe, (str, Path)):
        return load_recipe(recipe, "simulate", overrides), str(recipe)
    if overrides:
        raise ConfigError("key=value overrides go with a recipe given by name or file")
    return recipe, "recipe"
