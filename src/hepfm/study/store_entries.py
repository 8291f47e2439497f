"""Section ``stores`` of a study file: what each store is, and numbers of rows as they are written there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from hepfm.core.config import Config


def read_count(value: Any) -> Any:
    """Read a number of rows, also written with k or M.

    >>> read_count("1.2M"), read_count("10k"), read_count(5)
    (1200000, 10000, 5)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kM])", value) if isinstance(value, str) else None
    if found is None:
        return value
    number = float(found[1]) * {"k": 1e3, "M": 1e6}[found[2]]
    return int(number) if number.is_integer() else number


Count = Annotated[int, pydantic.BeforeValidator(read_count), pydantic.Field(ge=1)]
RowsOfSplit = Annotated[int, pydantic.BeforeValidator(read_count), pydantic.Field(ge=0)]


class SimulatedStore(Config):
    """A store that the study simulates itself, once.

    Attributes
    ----------
    simulate
        Name or file of a simulation recipe.
    rows
        Rows by split, of jets in each class, 0 for a split that is not needed; laid over the recipe.
    seed
        Seed of the simulation.
    options
        Other keys laid over the recipe.
    """

    simulate: str
    rows: dict[str, RowsOfSplit] = pydantic.Field(default_factory=dict)
    seed: int = pydantic.Field(0, ge=0)
    options: dict[str, Any] = pydantic.Field(default_factory=dict)


class MixedStore(Config):
    """A store for weak supervision, made of another store of the study, once; see `hepfm.data.mixtures.mix`.

    Attributes
    ----------
    mix
        Name of the store that it is made of.
    signal, background
        Classes of its label.
    count
        Rows of signal in the training split.
    seed
        Seed of the draws.
    """

    mix: str
    signal: str
    background: str
    count: int = pydantic.Field(ge=0)
    seed: int = pydantic.Field(0, ge=0)


def _kind_of_store(value: Any) -> str:
    if isinstance(value, str):
        return "path"
    mixed = isinstance(value, MixedStore) or (isinstance(value, Mapping) and "mix" in value)
    return "mixed" if mixed else "simulated"


StoreEntry = Annotated[
    Annotated[str, pydantic.Tag("path")]
    | Annotated[SimulatedStore, pydantic.Tag("simulated")]
    | Annotated[MixedStore, pydantic.Tag("mixed")],
    pydantic.Discriminator(_kind_of_store),
]
"""A store of a study: a path, a simulation, or a mixture of another store's rows."""
