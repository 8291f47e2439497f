"""Objects of events and the generator's record from columns of a file, as a map says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.ragged import Array
from hepfm.data.event_objects import EventObjects, make_objects, met_objects
from hepfm.data.hard_process import (
    LARGEST_ETA,
    NO_MOTHER,
    hard_process,
    initial_states,
    object_charges,
    object_types,
)
from hepfm.data.maps.arrays import Piece, flat, lengths_of
from hepfm.data.maps.expression import Expression
from hepfm.data.maps.object_config import ObjectMap, RecordMap
from hepfm.data.maps.units import factor
from hepfm.physics.kinematics import energy_of, wrap_phi

_OPTIONAL = ("eta", "energy", "mass", "charge", "b_tag", "select")
Names = Mapping[str, str]
"""Columns of a file by the names that they have in expressions."""


class _Expressions:
    """Expressions of a map of objects, computed of the columns of some events."""

    def __init__(self, texts: Mapping[str, str | None], names: Names, *, what: str) -> None:
        self._names, self._what = names, what
        self._parts: dict[str, Expression] = {}
        for name, text in texts.items():
            try:
                if text is not None:
                    self._parts[name] = Expression(text, names)
            except ConfigError as error:
                raise ConfigError(f"{what}, {name}: {error}") from None

    @property
    def needed(self) -> set[str]:
        """Columns of the file that are needed."""
        return {self._names[name] for part in self._parts.values() for name in part.names}

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    def raw(self, name: str, piece: Piece) -> Any:
        """Return the value of an expression."""
        part = self._parts[name]
        try:
            return part({known: piece.columns[self._names[known]] for known in part.names})
        except DataError as error:
            raise DataError(f"{piece.path}: {self._what}, {name}: {error}") from None

    def shape(self, piece: Piece) -> Any:
        """Return lists of which each has an entry for each object of its event."""
        import awkward as ak

        pt = self.raw("pt", piece)
        ndim = getattr(pt, "ndim", 0)
        if ndim == 1:
            pt = ak.from_regular(pt[:, np.newaxis])
        elif ndim != 2:
            raise DataError(
                f"{piece.path}: {self._what}, pt: expected a number or a list of each event, got "
                f"{getattr(pt, 'type', 'one number')}"
            )
        return pt

    def values(self, name: str, piece: Piece, shape: Any, default: float | None = None) -> Array:
        """Return the value of each object, one event after the other, float64."""
        if name not in self:
            return np.full(int(lengths_of(shape).sum()), default, np.float64)
        value = self.raw(name, piece)
        return np.asarray(flat(value, shape, piece, f"{self._what}, {name}"), np.float64)


class MappedObjects:
    """Objects of one type, from columns of files that have certain names.

    Parameters
    ----------
    kind
        Type of the objects.
    spec
        Where they are.
    names
        Columns of the file.

    Raises
    ------
    ConfigError
        When the file lacks a column, or the map does not fit the type.
    """

    def __init__(self, kind: str, spec: ObjectMap, names: Names) -> None:
        check_kind(kind, spec)
        self.kind, self.spec = kind, spec
        texts = {name: getattr(spec, name) for name in ("pt", "phi", *_OPTIONAL)}
        self._parts = _Expressions(texts, names, what=kind)
        self._gev = factor(spec.unit, "GeV", field=kind)

    @property
    def needed(self) -> set[str]:
        """Columns of the file that are needed."""
        return self._parts.needed

    def read(self, piece: Piece) -> EventObjects:
        """Return the objects of some events that are selected."""
        shape = self._parts.shape(piece)
        pt, phi = (self._parts.values(name, piece, shape) for name in ("pt", "phi"))
        pt, phi = pt * self._gev, _wrapped(phi)
        if self.kind == "met":
            number = lengths_of(shape)
            if (number != 1).any():
                event = int(np.argmax(number != 1))
                raise DataError(
                    f"{piece.path}, row {piece.row_R[event]}: an event has one missing momentum, not "
                    f"{number[event]}"
                )
            return met_objects(pt, phi)
        eta = self._parts.values("eta", piece, shape)
        energy = _energy(self._parts, piece, shape, self._gev)
        charge, b_tag = (self._parts.values(name, piece, shape, 0.0) for name in ("charge", "b_tag"))
        kept = self.spec.selected(pt, eta) & (pt != 0)
        if "select" in self._parts:
            kept &= self._parts.values("select", piece, shape) != 0
        kinematics, events = (pt, eta, phi, energy), _events(lengths_of(shape))
        return make_objects(events, kinematics, self.kind, charge=charge, b_tag=b_tag).take(kept)


class MappedRecord:
    """The generator's record, from columns of files that have certain names; see `MappedObjects`."""

    def __init__(self, spec: RecordMap, names: Names) -> None:
        self.spec = spec
        texts = {name: getattr(spec, name) for name in ("pdg", "mother", "hard", "pt", "eta", "phi", "mass")}
        partons = dict(zip(("parton1", "parton2"), spec.partons or (), strict=False))
        self._parts = _Expressions({**texts, "energy": spec.energy, **partons}, names, what="generator")
        self._gev = factor(spec.unit, "GeV", field="generator")

    @property
    def needed(self) -> set[str]:
        """Columns of the file that are needed."""
        return self._parts.needed

    def read(self, piece: Piece) -> EventObjects:
        """Return the objects of the hard process of some events."""
        shape = self._parts.shape(piece)
        lengths = lengths_of(shape)
        names = ("pdg", "mother", "hard", "pt", "eta", "phi")
        found = {name: self._parts.values(name, piece, shape) for name in names}
        energy = _energy(self._parts, piece, shape, self._gev)
        pdg, event = np.rint(found["pdg"]).astype(np.int64), _events(lengths)
        mother = _places(found["mother"], lengths)
        try:
            hard = hard_process(pdg, mother, found["hard"] != 0, event=piece.row_R[event], pt=found["pt"])
        except DataError as error:
            raise DataError(f"{piece.path}, {error}") from None
        # Along the beam pt is not quite 0, so that eta is finite and the momentum right.
        pt = np.maximum(found["pt"] * self._gev, np.abs(energy) / np.sinh(LARGEST_ETA) * (found["pt"] == 0))
        eta = np.clip(found["eta"], -LARGEST_ETA, LARGEST_ETA)
        made = make_objects(
            event,
            (pt, eta, _wrapped(found["phi"]), energy),
            object_types(pdg),
            level="generator",
            pdg=pdg,
            charge=object_charges(pdg),
        )
        return made.take(hard.place).with_roles(hard.role)

    def states(self, piece: Piece) -> Array | None:
        """Return the class of the incoming partons of each event; None where the file does not tell."""
        import awkward as ak

        if self.spec.partons is None:
            return None
        codes = []
        for name in ("parton1", "parton2"):
            value = self._parts.raw(name, piece)
            if value.ndim == 2:  # some formats write a list of one number
                value = ak.fill_none(ak.firsts(value), 0)
            codes.append(flat(value, None, piece, f"generator, {name}"))
        return initial_states(*codes)


def check_kind(kind: str, spec: ObjectMap) -> None:
    """Raise `ConfigError` unless a map fits the type of its objects."""
    given = [name for name in _OPTIONAL if getattr(spec, name) is not None]
    if kind == "met" and given:
        raise ConfigError(f"met: missing momentum has pt and phi only, got {', '.join(given)}")
    if kind != "met" and spec.eta is None:
        raise ConfigError(f"{kind}: 'eta' is needed")
    if kind != "jet" and spec.b_tag is not None:
        raise ConfigError(f"{kind}: only jets have a b tag")


def _energy(parts: _Expressions, piece: Piece, shape: Any, gev: float) -> Array:
    """Return energies in GeV; negative masses (of negative squares, by rounding) count as 0."""
    if "energy" in parts:
        return parts.values("energy", piece, shape) * gev
    mass = np.maximum(parts.values("mass", piece, shape, 0.0), 0)
    pt, eta = (parts.values(name, piece, shape) for name in ("pt", "eta"))
    with np.errstate(over="ignore", invalid="ignore"):  # particles along the beam
        return np.asarray(energy_of(pt, eta, mass)) * gev


def _events(lengths: Array) -> Array:
    """Return the event of each object."""
    return np.repeat(np.arange(len(lengths)), lengths)


def _wrapped(phi: Array) -> Array:
    with np.errstate(invalid="ignore"):  # what is no number is refused later
        return np.asarray(wrap_phi(phi))


def _places(mother: Array, lengths: Array) -> Array:
    """Return places in all events together from those in the list of each; other lists' places stay so."""
    start = np.repeat(np.cumsum(lengths) - lengths, lengths)
    outside = mother >= np.repeat(lengths, lengths)
    place = np.where(mother >= 0, start + mother, NO_MOTHER)
    return np.where(outside, lengths.sum(), place).astype(np.int64)
