"""Labels of events made of their generator particles: how many there are of a kind, and where the hardest go.

A label set says which, in a YAML file. Every label is a field of the rows with the classes ``no`` and
``yes``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pydantic

from hepfm.core.config import Config, load_recipe, validate
from hepfm.core.errors import DataError, IncompatibleError, did_you_mean
from hepfm.core.ragged import Array, Columns, lists
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.schemas.events import OBJECT_LEVELS, OBJECT_TYPES

NO, YES = ANSWERS = ("no", "yes")
"""Classes of every label."""
PREFIX = "truth_"
"""How the names of all labels begin."""
PARTICLES = tuple(name for name in OBJECT_TYPES if name not in ("jet", "met"))
"""What a generator object can be."""
COLUMNS = ("object_pt", "object_eta", "object_phi", "object_type", "object_level")
"""Fields that labels are made of."""

Cuts = Annotated[tuple[float, ...], pydantic.Field(min_length=1)]
Counts = Annotated[tuple[pydantic.PositiveInt, ...], pydantic.Field(min_length=1)]
_RANGES = {"pt": (0.0, math.inf), "eta": (-math.inf, math.inf), "phi": (-math.pi, math.pi)}
_UNITS = {"pt": " GeV", "eta": "", "phi": " rad"}


class ParticleLabels(Config):
    """Labels of one kind of particle.

    Attributes
    ----------
    at_least
        Numbers n, each a label: whether there are n or more.
    pt, eta, phi
        Cuts in rising order (GeV, 1, rad) that divide all values into bins, one more than there are cuts.
        Each bin is a label: whether the particle is there and lies in the bin, its lower edge included.
    hardest
        Of how many particles the bins are, from the greatest pt on: 2 for the hardest and the second.
    """

    at_least: Counts | None = None
    pt: Cuts | None = None
    eta: Cuts | None = None
    phi: Cuts | None = None
    hardest: pydantic.PositiveInt = 1

    @property
    def bins(self) -> dict[str, tuple[float, ...]]:
        """Cuts by the quantity that they cut."""
        cuts = {"pt": self.pt, "eta": self.eta, "phi": self.phi}
        return {name: values for name, values in cuts.items() if values is not None}

    @pydantic.model_validator(mode="after")
    def _check(self) -> ParticleLabels:
        if self.at_least is None and not self.bins:
            raise ValueError("labels nothing; give at_least, pt, eta or phi")
        if self.at_least is not None and len(set(self.at_least)) < len(self.at_least):
            raise ValueError(f"at_least names a number twice: {list(self.at_least)}")
        for name, cuts in self.bins.items():
            low, high = _RANGES[name]
            if any(b <= a for a, b in itertools.pairwise(cuts)):
                raise ValueError(f"the cuts of {name} must rise, got {list(cuts)}")
            if not all(low < cut < high for cut in cuts):
                raise ValueError(f"a cut of {name} leaves a bin empty: they lie in ({low:g}, {high:g})")
        return self


class LabelSet(Config):
    """A label set.

    Attributes
    ----------
    description
        One line.
    particles
        Labels by kind of particle, of `PARTICLES`: those of level ``generator`` are counted.
    """

    description: str = ""
    particles: Annotated[dict[str, ParticleLabels], pydantic.Field(min_length=1)]

    @pydantic.field_validator("particles")
    @classmethod
    def _known(cls, particles: dict[str, ParticleLabels]) -> dict[str, ParticleLabels]:
        for name in particles:
            if name not in PARTICLES:
                raise ValueError(
                    f"no generator particle {name!r}{did_you_mean(name, PARTICLES)}; there are "
                    f"{', '.join(PARTICLES)}"
                )
        return particles

    def fields(self) -> tuple[Field, ...]:
        """Return the fields of the labels."""
        return tuple(
            Field(
                PREFIX + name, Level.EVENT, Kind.CATEGORICAL, dtype="int8", classes=ANSWERS, description=what
            )
            for name, what in self._named()
        )

    def _named(self) -> Iterator[tuple[str, str]]:
        for particle, labels in self.particles.items():
            for number in labels.at_least or ():
                yield f"{particle}_at_least_{number}", f"whether there are {number} or more: {particle}"
            for rank, (quantity, cuts) in itertools.product(range(labels.hardest), labels.bins.items()):
                place = f"{particle}{rank + 1 if rank else ''}"
                for number, words in enumerate(_words(cuts)):
                    about = f"whether {quantity} of the {particle} number {rank + 1} in pt is {words}"
                    yield f"{place}_{quantity}_bin{number}", about + _UNITS[quantity]

    def compute(self, columns: Columns) -> dict[str, Array]:
        """Return the labels of events by their names, int8 (R,).

        Parameters
        ----------
        columns
            The fields `COLUMNS` of the events.
        """
        values = [answer for name, one in self.particles.items() for answer in _answers(columns, name, one)]
        names = (field.name for field in self.fields())
        return {name: value.astype(np.int8) for name, value in zip(names, values, strict=True)}

    def labelled(self, schema: Schema) -> Schema:
        """Return the schema of a store with the labels.

        Raises
        ------
        IncompatibleError
            When the rows are no events, or have no fields of generator objects.
        DataError
            When the store has such labels already.
        """
        missing = [name for name in COLUMNS if name not in schema]
        if schema.row is not Level.EVENT or missing:
            lacking = f"lack {', '.join(missing)}" if missing else f"are of level {schema.row}"
            raise IncompatibleError(
                f"labels are made of the generator particles of events, and these rows {lacking}; simulate "
                "events with their truth"
            )
        twice = [field.name for field in self.fields() if field.name in schema]
        if twice:
            raise DataError(f"the store has {', '.join(twice)} already; label the store that it was made of")
        roles = {"label": schema.label, "weight": schema.weight, "group": schema.group}
        return Schema((*schema.fields, *self.fields()), schema.row, **roles)


def read_label_set(labels: str | Path | Mapping[str, Any]) -> LabelSet:
    """Return a label set by the name of a built-in one, from a file or from its values; check it."""
    if isinstance(labels, str | Path):
        return validate(LabelSet, load_recipe(labels, "label"), where=str(labels))
    return validate(LabelSet, labels, where="labels")


def is_generator(columns: Columns) -> Array:
    """Return which objects the generator made, boolean (objects,)."""
    return lists(columns, "object_level").values == OBJECT_LEVELS.index("generator")


def _answers(columns: Columns, particle: str, labels: ParticleLabels) -> Iterator[Array]:
    """Yield the labels of one kind of particle in the order of their fields, boolean (R,)."""
    kind = lists(columns, "object_type")
    chosen = np.flatnonzero(is_generator(columns) & (kind.values == OBJECT_TYPES.index(particle)))
    row = kind.row_index()[chosen]
    counts = np.bincount(row, minlength=len(kind))
    for number in labels.at_least or ():
        yield counts >= number
    by_pt = chosen[np.lexsort((-lists(columns, "object_pt").values[chosen], row))]
    first = np.cumsum(counts) - counts
    for rank, (quantity, cuts) in itertools.product(range(labels.hardest), labels.bins.items()):
        there = counts > rank
        bins = np.full(len(kind), -1)
        values = lists(columns, f"object_{quantity}").values[by_pt[first[there] + rank]]
        bins[there] = np.searchsorted(np.asarray(cuts, values.dtype), values, side="right")
        yield from (bins == number for number in range(len(cuts) + 1))


def _words(cuts: Sequence[float]) -> Iterator[str]:
    """Yield each bin in words."""
    yield f"below {cuts[0]:g}"
    yield from (f"in [{low:g}, {high:g})" for low, high in itertools.pairwise(cuts))
    yield f"{cuts[-1]:g} or above"
