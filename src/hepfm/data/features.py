"""The contract of a feature set: constituent features of a network, computed from physical columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import ConfigError, DataError, IncompatibleError, did_you_mean
from hepfm.core.ragged import Array, Columns, Ragged, lists
from hepfm.core.schema import Schema
from hepfm.data import invertible_sets
from hepfm.data.inverse import Inverse, RowFields, Values

JET_COLUMNS = ("jet_pt", "jet_eta", "jet_phi", "jet_energy")
"""The axis of a jet, and what it carries."""

KINEMATIC_COLUMNS = ("part_pt", "part_eta", "part_phi", "part_energy")
"""What four-momenta are made of."""

_CHUNK = 32768
"""Constituents computed at once: all features of a chunk stay in a core's second-level cache."""

Fill = Callable[[Columns, Array], None]
"""Writes features of all constituents of the given rows into an array of shape (features, constituents)."""


@dataclass(frozen=True)
class FeatureGroup:
    """Features that data may lack, all of them or none.

    Attributes
    ----------
    name
        ``"identity"`` (charge and type) or ``"displacement"`` (impact parameters).
    features
        Their numbers in the feature set, in a row.
    columns
        Fields of the store that they need.
    fill
        Their computation; it is given the rows of `features` only.
    exist_with
        A feature that is zero for constituents that do not have those of the group: neutral ones, of charge
        zero, have no impact parameters. None where all constituents have them.
    left
        Tells from columns of the set's `base` which entries are constituents where the group is absent, of
        those that are with it; None where all are. Particles of the generator leave with what tells them.
        Such a group is never dropped at random, and rows with it are never cut: its constituents stand last.
    """

    name: str
    features: range
    columns: tuple[str, ...]
    fill: Fill
    exist_with: str | None = None
    left: Callable[[Columns], Array] | None = None


@dataclass(frozen=True)
class FeatureSet:
    """Features of constituents, in physical units, and how a network standardises them.

    Attributes
    ----------
    name
        Its name in the registry.
    names
        Feature names, F of them.
    base
        Fields of the store that `fill` needs, of the rows and of one deeper level.
    centre, scale
        ``(x - centre) * scale`` is what the network sees; F numbers each.
    fill
        Computation of the features that belong to no group; it is given all F rows.
    fitted
        F flags: where true, centre and scale are placeholders that are measured on the training rows before
        the first step.
    optional
        Groups of features that data may lack.
    absent
        Names of the groups that are zero, whatever the data have; see `without`.
    inverse
        The way back to rows; None for a set of which no rows can be made.
    rows
        What the rows are, in the plural.
    entries
        A field of `base` that is one entry per constituent: its lists tell the numbers of constituents.
    momenta
        Fields of which four-momenta of the constituents are made: pt, eta, phi, energy. Empty for
        constituents that have none.
    limit
        Clip of each standardised feature, F numbers; None for that of `hepfm.nn.standardize.Standardize`.
    chosen
        Tells from columns of `base` which entries of the lists are constituents of the row, boolean; None
        where all are. A store may hold more than a network is to read: particles of the generator beside the
        objects that were reconstructed.
    row_pt
        Transverse momentum (GeV) of every row to which four-momenta are scaled, by one factor for its
        constituents; None for momenta as they are.
    remade
        Whether features relative to the row are made anew for views that show part of it. Where false, views
        must show rows as they are: others would tell what is hidden.
    written
        For a set that is in no registry: all that `hepfm.data.written_features.from_written` makes it of,
        JSON-ready.
    """

    name: str
    names: tuple[str, ...]
    base: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    fill: Fill
    fitted: tuple[bool, ...]
    optional: tuple[FeatureGroup, ...] = ()
    absent: frozenset[str] = frozenset()
    inverse: Inverse | None = None
    rows: str = "jets"
    entries: str = "part_pt"
    momenta: tuple[str, ...] = KINEMATIC_COLUMNS
    limit: tuple[float, ...] | None = None
    chosen: Callable[[Columns], Array] | None = None
    row_pt: float | None = None
    remade: bool = True
    written: Mapping[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """Numbers of the features of each group, by its name; absent groups are left out."""
        return {group.name: tuple(group.features) for group in self._present()}

    @property
    def droppable(self) -> dict[str, tuple[int, ...]]:
        """The groups that can be zero for some rows of a batch: those that take no constituents with them."""
        return {group.name: tuple(group.features) for group in self._present() if group.left is None}

    @property
    def whole_rows(self) -> bool:
        """Whether rows must not be cut to their leading constituents; see `FeatureGroup.left`."""
        return any(group.left is not None for group in self._present())

    @property
    def present(self) -> tuple[str, ...]:
        """Names of the features that are not of absent groups."""
        absent = {k for group in self.optional if group.name in self.absent for k in group.features}
        return tuple(name for k, name in enumerate(self.names) if k not in absent)

    @property
    def conditional(self) -> dict[str, str]:
        """Features that some constituents do not have, each with the feature that is zero for those."""
        return {
            self.names[k]: group.exist_with
            for group in self._present()
            if group.exist_with in self.present
            for k in group.features
        }

    @property
    def invertible(self) -> bool:
        """Whether rows can be made of these features."""
        return self.inverse is not None and self.inverse.fits(self.present)

    @property
    def columns(self) -> tuple[str, ...]:
        """Fields of the store that `compute` needs."""
        groups = (name for group in self._present() for name in group.columns)
        return tuple(dict.fromkeys((*self.base, *groups)))

    def without(self, groups: Collection[str]) -> FeatureSet:
        """Return the set of the same features with those of some groups zero, and their fields not needed.

        For data that were measured without particle types or impact parameters.
        """
        known = [group.name for group in self.optional]
        for name in groups:
            if name not in known:
                raise ConfigError(
                    f"feature set {self.name!r} has no group {name!r}{did_you_mean(name, known)}"
                )
        return replace(self, absent=self.absent | frozenset(groups))

    def missing(self, schema: Schema) -> list[str]:
        """Return the fields that this set needs and a schema lacks."""
        return [name for name in self.columns if name not in schema]

    def missing_group(self, name: str, schema: Schema) -> list[str]:
        """Return the fields that a group of `groups` needs and a schema lacks."""
        fields = next(group.columns for group in self._present() if group.name == name)
        return [field for field in fields if field not in schema]

    def choose(self, columns: Columns) -> dict[str, Array | Ragged]:
        """Return the columns with those entries of their lists alone that are constituents."""
        tests = [group.left for group in self.optional if group.left and group.name in self.absent]
        tests += [self.chosen] if self.chosen else []
        if not tests:
            return dict(columns)
        chosen = np.logical_and.reduce([test(columns) for test in tests])
        return {
            name: column.keep(chosen) if isinstance(column, Ragged) else column
            for name, column in columns.items()
        }

    def compute(self, columns: Columns, *, out: Array | None = None) -> Array:
        """Return the features of all constituents, float32, shape (constituents, F); into `out` if given."""
        needed = {name: columns[name] for name in self.columns}
        return _by_chunks(self._fill, needed, len(self), lists(columns, self.entries).offsets, out)

    def has_momenta(self, schema: Schema) -> bool:
        """Tell whether a schema has the fields of which four-momenta of the constituents are made."""
        return bool(self.momenta) and all(name in schema for name in self.momentum_columns)

    @property
    def momentum_columns(self) -> tuple[str, ...]:
        """Fields that `four_momenta` needs."""
        return (*self.momenta, JET_COLUMNS[0]) if self.row_pt is not None else self.momenta

    def four_momenta(self, columns: Columns, *, out: Array | None = None) -> Array:
        """Return (E, px, py, pz) in GeV of all constituents, (constituents, 4), scaled to `row_pt` if set."""
        p4 = four_momenta(columns, names=self.momenta, out=out)
        if self.row_pt is not None:
            scale = np.float32(self.row_pt) / np.asarray(columns[JET_COLUMNS[0]], np.float32)
            p4 *= np.repeat(scale, lists(columns, self.momenta[0]).lengths)[:, None]
        return p4

    def named(self, features: Array) -> dict[str, Array]:
        """Return features of shape (n, F) by their names."""
        if features.shape[1:] != (len(self),):
            raise DataError(
                f"features of shape {features.shape} are not those of the set {self.name!r}, which has "
                f"{len(self)}: {', '.join(self.names)}"
            )
        return dict(zip(self.names, features.T, strict=True))

    def schema(self, *, classes: tuple[str, ...] = (), known: Collection[str] = ()) -> Schema:
        """Return the schema of rows made of these features; see `hepfm.data.inverse.Inverse.schema`.

        Raises
        ------
        IncompatibleError
            When no rows can be made of them.
        """
        return self.require_inverse().schema(self.present, classes=classes, known=known)

    def invert(
        self, values: Values, *, lengths: npt.NDArray[np.int64], row_fields: RowFields
    ) -> dict[str, Array | Ragged]:
        """Return the columns of rows made of features, all but the label.

        Parameters
        ----------
        values
            Physical features by name, shape (n,) each, row after row; absent groups are not used. `named`
            makes them of an array.
        lengths
            Constituents of each row, shape (R,).
        row_fields
            What no feature tells: the fields ``inverse.needs`` at least.

        Raises
        ------
        IncompatibleError
            When no rows can be made of these features.
        DataError
            When a feature has an impossible value, or a field of the rows is missing.
        """
        inverse = self.require_inverse()
        missing = [name for name in inverse.needs if name not in row_fields]
        if missing:
            raise DataError(
                f"{self.rows} cannot be made of the features {self.name!r} alone; also needed are their "
                f"{', '.join(missing)}"
            )
        used = {name: values[name] for name in self.present if name in values}
        return inverse.columns(used, lengths=lengths, row_fields=row_fields)

    def require_inverse(self) -> Inverse:
        """Return the inverse; raise `IncompatibleError`, which names the sets that have one, without it."""
        if self.inverse is None or not self.inverse.fits(self.present):
            absent = f" without {', '.join(sorted(self.absent))}" if self.absent else ""
            raise IncompatibleError(
                f"no {self.rows} can be made of the feature set {self.name!r}{absent}: its features "
                f"{', '.join(self.present)} do not tell every constituent, or tell it twice; sets that do: "
                f"{', '.join(invertible_sets())}"
            )
        return self.inverse

    def _present(self) -> list[FeatureGroup]:
        return [group for group in self.optional if group.name not in self.absent]

    def _fill(self, columns: Columns, out: Array) -> None:
        self.fill(columns, out)
        for group in self.optional:
            rows = out[group.features.start : group.features.stop]
            if group.name in self.absent:
                rows[:] = 0
            else:
                group.fill(columns, rows)


def _by_chunks(fill: Fill, columns: Columns, width: int, offsets: Array, out: Array | None) -> Array:
    if out is None:
        out = np.empty((offsets[-1], width), np.float32)
    edges = _chunks(offsets)
    sizes = np.diff(offsets[edges])
    buffer = np.empty((width, int(sizes.max(initial=0))), np.float32)
    for start, stop, size in zip(edges[:-1], edges[1:], sizes, strict=True):
        part = buffer[:, :size]
        fill({name: _rows(column, start, stop) for name, column in columns.items()}, part)
        out[offsets[start] : offsets[stop]] = part.T
    return out


def _chunks(offsets: Array) -> Array:
    """Return row numbers that cut the rows into pieces of about `_CHUNK` constituents."""
    targets = np.arange(0, offsets[-1], _CHUNK)
    edges = np.searchsorted(offsets, targets, side="right") - 1
    return np.unique(np.append(edges, len(offsets) - 1))


def _rows(column: Array | Ragged, start: int, stop: int) -> Array | Ragged:
    if not isinstance(column, Ragged):
        return column[start:stop]
    first = column.offsets[start]
    return Ragged(column.values[first : column.offsets[stop]], column.offsets[start : stop + 1] - first)


def four_momenta(
    columns: Columns, *, names: Sequence[str] = KINEMATIC_COLUMNS, out: Array | None = None
) -> Array:
    """Return (E, px, py, pz) in GeV of all constituents, float32, shape (constituents, 4).

    Parameters
    ----------
    columns
        Columns of rows.
    names
        The fields that hold pt, eta, phi and energy of the constituents.
    out
        Where the result is written, if given.
    """

    def fill(part: Columns, out: Array) -> None:
        pt, eta, phi, energy = (lists(part, name).values for name in names)
        out[0] = energy
        np.cos(phi, out=out[1])
        np.sin(phi, out=out[2])
        np.sinh(eta, out=out[3])
        out[1:] *= pt

    needed = {name: columns[name] for name in names}
    return _by_chunks(fill, needed, 4, lists(columns, names[0]).offsets, out)
