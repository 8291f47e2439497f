"""Feature sets that are written out, column by column: those of models that were converted.

A column is a feature of the Particle Transformer's sets, by its name, or arithmetic with fields of the store.
A model directory carries the whole set in its config, so that it is read the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field, PositiveFloat, model_validator

from hepfm.core.config import Config, validate
from hepfm.core.errors import ConfigError
from hepfm.core.ragged import Array, Columns, Ragged, lists
from hepfm.data import FEATURE_SETS, feature_set
from hepfm.data.feature_names import AXES, PARTICLE_TRANSFORMER_KINEMATICS, RELATIVE
from hepfm.data.feature_sets import GROUPS, fill_kinematics, jet_group
from hepfm.data.features import JET_COLUMNS, KINEMATIC_COLUMNS, FeatureSet, Fill
from hepfm.data.maps.expression import Expression
from hepfm.data.schemas.jets import (
    IDENTITY_CONSTITUENT_FIELDS,
    JET_FIELDS,
    KINEMATIC_CONSTITUENT_FIELDS,
    SUBSTRUCTURE_FIELDS,
    TRACK_CONSTITUENT_FIELDS,
)

FIELDS = tuple(
    field.name
    for field in (
        *JET_FIELDS,
        *SUBSTRUCTURE_FIELDS,
        *KINEMATIC_CONSTITUENT_FIELDS,
        *IDENTITY_CONSTITUENT_FIELDS,
        *TRACK_CONSTITUENT_FIELDS,
    )
)
"""Fields of stores that arithmetic can use, in their units: GeV, mm, rad."""

_HUGE = 1e30
"""Stands for infinity, which no batch may hold; any clip makes the same of both."""

_ENTRIES = "part_pt"
_KINEMATICS = (*PARTICLE_TRANSFORMER_KINEMATICS, *AXES)

SOURCES: dict[str, tuple[tuple[str, ...], tuple[str, ...], Fill]] = {
    "kinematics": (_KINEMATICS, (*JET_COLUMNS, *KINEMATIC_COLUMNS), fill_kinematics),
    **{name: (names, columns, fill) for name, (names, columns, fill, _) in GROUPS.items()},
}
"""Features that are computed together: their names, the fields that they need, their computation."""

KNOWN = tuple(name for names, _, _ in SOURCES.values() for name in names)
"""Names that stand for a feature without an expression."""


class WrittenColumn(Config):
    """One feature.

    Attributes
    ----------
    name
        Its name; one of `KNOWN` where there is no `expression`.
    expression
        Arithmetic with `FIELDS`, entry by entry; see `hepfm.data.maps.expression.Expression`. Entries that
        have no value (0/0) get `centre`.
    minimum, maximum
        Values outside are set to these, before the standardisation.
    centre, scale
        ``(x - centre) * scale`` is what the network sees.
    limit
        Clip of that, to both sides; None for no clip.
    """

    name: Annotated[str, Field(min_length=1)]
    expression: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    centre: float = 0.0
    scale: float = 1.0
    limit: PositiveFloat | None = None

    @model_validator(mode="after")
    def _check(self) -> WrittenColumn:
        if self.expression is None and self.name not in KNOWN:
            raise ValueError(f"{self.name!r} needs an expression; known are {', '.join(KNOWN)}")
        if self.expression is not None:
            try:
                Expression(self.expression, FIELDS, entrywise=True)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        if self.scale == 0:
            raise ValueError(f"{self.name!r}: scale must not be 0")
        return self


class WrittenFeatures(Config):
    """A feature set.

    Attributes
    ----------
    name
        What it is called in messages and on cards; none of the registry.
    columns
        Its features.
    row_pt
        Transverse momentum (GeV) to which four-momenta of each row are scaled; None for no scaling.
    """

    name: Annotated[str, Field(min_length=1)]
    columns: Annotated[tuple[WrittenColumn, ...], Field(min_length=1)]
    row_pt: PositiveFloat | None = None

    @model_validator(mode="after")
    def _check(self) -> WrittenFeatures:
        names = [column.name for column in self.columns]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"column {twice!r} stands there twice")
        if self.name in FEATURE_SETS:
            raise ValueError(f"{self.name!r} is a feature set of the registry; choose another name")
        return self


def from_written(values: Mapping[str, Any], *, where: str) -> FeatureSet:
    """Return the feature set of its written form.

    Parameters
    ----------
    values
        The options of `WrittenFeatures`.
    where
        Where they stand, for messages.

    Raises
    ------
    ConfigError
        When they are no such set.
    """
    written = validate(WrittenFeatures, values, where=where)
    names = tuple(column.name for column in written.columns)
    groups = tuple(jet_group(name, names) for name in GROUPS if _in_a_row(written.columns, GROUPS[name][0]))
    of_groups = {k for group in groups for k in group.features}
    fill = _Fill([(k, column) for k, column in enumerate(written.columns) if k not in of_groups])
    return FeatureSet(
        name=written.name,
        names=names,
        base=tuple(dict.fromkeys((_ENTRIES, *fill.columns))),
        centre=tuple(column.centre for column in written.columns),
        scale=tuple(column.scale for column in written.columns),
        fill=fill,
        fitted=(False,) * len(names),
        optional=groups,
        limit=tuple(math.inf if column.limit is None else column.limit for column in written.columns),
        row_pt=written.row_pt,
        remade=written.row_pt is None and _remade(written.columns),
        written=written.model_dump(mode="json"),
    )


def read_features(value: Any, *, where: str) -> FeatureSet:
    """Return the feature set that a config names, or holds in its written form.

    Raises
    ------
    ConfigError
        When there is none of this name, or the written form is none.
    """
    return from_written(value, where=where) if isinstance(value, Mapping) else feature_set(value)


def spec_of(features: FeatureSet) -> Any:
    """Return what `read_features` makes the set of: its name, or its written form."""
    return features.name if features.written is None else dict(features.written)


def _in_a_row(columns: Sequence[WrittenColumn], names: tuple[str, ...]) -> bool:
    """Tell whether plain columns of these names stand there one after the other."""
    plain = [
        column.name if column.expression is None and column.minimum is column.maximum is None else ""
        for column in columns
    ]
    return any(tuple(plain[k : k + len(names)]) == names for k in range(len(plain)))


def _remade(columns: Sequence[WrittenColumn]) -> bool:
    """Tell whether every column that is relative to the row has beside it what it is made of."""
    plain = {column.name for column in columns if column.expression is None}
    return len(plain) == len(columns) and all(
        source in plain for name, (source, _) in RELATIVE.items() if name in plain
    )


class _Fill:
    """Computation of columns, as `hepfm.data.features.Fill`."""

    def __init__(self, numbered: Sequence[tuple[int, WrittenColumn]]) -> None:
        self._numbered = numbered
        self._expressions = {
            k: Expression(column.expression, FIELDS, entrywise=True)
            for k, column in numbered
            if column.expression is not None
        }
        known = {column.name for _, column in numbered if column.expression is None}
        self._sources = [source for source in SOURCES.values() if known & set(source[0])]
        fields = [name for _, columns, _ in self._sources for name in columns]
        fields += [name for expression in self._expressions.values() for name in sorted(expression.names)]
        self.columns = tuple(dict.fromkeys(fields))

    def __call__(self, columns: Columns, out: Array) -> None:
        known: dict[str, Array] = {}
        for names, _, fill in self._sources:
            rows = np.empty((len(names), out.shape[1]), np.float32)
            fill(columns, rows)
            known |= dict(zip(names, rows, strict=True))
        flat = self._flat(columns) if self._expressions else {}
        for k, column in self._numbered:
            expression = self._expressions.get(k)
            out[k] = known[column.name] if expression is None else expression.flat(flat)
            if expression is not None:
                np.nan_to_num(out[k], copy=False, nan=column.centre, posinf=_HUGE, neginf=-_HUGE)
            if column.minimum is not None or column.maximum is not None:
                np.clip(out[k], column.minimum, column.maximum, out=out[k])

    def _flat(self, columns: Columns) -> dict[str, Array]:
        """Return the fields of expressions with one entry for each constituent."""
        lengths = lists(columns, _ENTRIES).lengths
        needed = {name for expression in self._expressions.values() for name in expression.names}
        flat = {}
        for name in needed:
            column = columns[name]
            flat[name] = column.values if isinstance(column, Ragged) else np.repeat(column, lengths)
        return flat
