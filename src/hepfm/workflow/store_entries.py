"""Section ``stores`` of a study or an analysis: what each store is, and numbers of rows as they are written
there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

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
    """A store that the study or analysis simulates itself, once.

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


PER_REPLICATE = "replicate"
"""Seed of a mixture of which every replicate of a study has its own."""


class MixedStore(Config):
    """A store for weak supervision, made of another store of the study; see `hepfm.data.mixtures.mix`.

    Attributes
    ----------
    mix
        Name of the store that it is made of.
    signal, background
        Classes of its label.
    count
        Rows of signal in the training split.
    seed
        Seed of the draws; ``"replicate"`` for the number of each replicate of a study, so that each has a
        mixture of its own.
    """

    mix: str
    signal: str
    background: str
    count: Annotated[int, pydantic.BeforeValidator(read_count), pydantic.Field(ge=0)]
    seed: Annotated[int, pydantic.Field(ge=0)] | Literal["replicate"] = 0


class LabelledStore(Config):
    """Another store of the study with labels of its events, made once; see `hepfm.data.label.label`.

    Attributes
    ----------
    label
        Name of the store that it is made of.
    labels
        Name or file of a label set, or its values.
    """

    label: str
    labels: str | dict[str, Any]


def kind_of_store(value: Any) -> str:
    """Return the kind of an entry, or of its values: path, simulate, mix or label."""
    if isinstance(value, str):
        return "path"
    for kind, cls in (("mix", MixedStore), ("label", LabelledStore)):
        if isinstance(value, cls) or (isinstance(value, Mapping) and kind in value):
            return kind
    return "simulate"


StoreEntry = Annotated[
    Annotated[str, pydantic.Tag("path")]
    | Annotated[SimulatedStore, pydantic.Tag("simulate")]
    | Annotated[MixedStore, pydantic.Tag("mix")]
    | Annotated[LabelledStore, pydantic.Tag("label")],
    pydantic.Discriminator(kind_of_store),
]
"""A store of a study: a path, a simulation, another store's rows in a mixture or with labels."""


def made_of(entry: str | SimulatedStore | MixedStore | LabelledStore) -> str | None:
    """Return the name of the store of which an entry is made; None where it is made of no other."""
    if isinstance(entry, MixedStore):
        return entry.mix
    return entry.label if isinstance(entry, LabelledStore) else None
