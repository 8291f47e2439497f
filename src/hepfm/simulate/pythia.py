"""Pythia 8 as a source of event records, in batches that come as flat arrays."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.errors import ConfigError, HepfmError, missing_extra
from hepfm.simulate.particles import Floats, Ints, Particles

SEED_BITS = 29
"""Pythia's seeds go from 1 to 9e8; every number of 29 bits, plus one, does."""

QUIET = ("Print:quiet = on", "Next:numberCount = 0")
"""Lines that come before the user's."""


@dataclass(frozen=True)
class Record:
    """The event records of a batch of events, laid end to end; see Pythia's manual on "Particle Properties".

    Attributes
    ----------
    offsets
        Event i owns the entries ``offsets[i]:offsets[i + 1]``, int64, shape (events + 1,).
    pdg, status
        Particle code and status of each entry, shape (n,).
    daughter1, daughter2
        First and last daughter as indices into these flat arrays; 0 where there is none.
    px, py, pz, energy, mass
        GeV.
    x, y, z
        Production vertex, mm.
    """

    offsets: Ints
    pdg: Ints
    status: Ints
    daughter1: Ints
    daughter2: Ints
    px: Floats
    py: Floats
    pz: Floats
    energy: Floats
    mass: Floats
    x: Floats
    y: Floats
    z: Floats

    @property
    def num_events(self) -> int:
        """Number of events."""
        return len(self.offsets) - 1

    def event_of(self, index: Ints) -> Ints:
        """Return the event that entries belong to."""
        return np.searchsorted(self.offsets, index, side="right") - 1


class Generator:
    """Pythia 8 with these lines and this seed.

    Parameters
    ----------
    lines
        Settings, e.g. ``"HardQCD:all = on"``.
    seed
        From 1 to 9e8. The same lines and seed give the same events, whatever ran before.
    where
        What the lines belong to, for messages.

    Raises
    ------
    ConfigError
        For a line that Pythia does not know, or settings with which it cannot start.
    """

    def __init__(self, lines: Sequence[str], *, seed: int, where: str) -> None:
        started = time.process_time()
        self._pythia = configured(lines, where=where)
        for line in ("Random:setSeed = on", f"Random:seed = {seed}"):
            self._pythia.readString(line)
        if not self._pythia.init():
            raise ConfigError(
                f"{where}: Pythia cannot start with these lines; is a process on, and open in this range?"
            )
        self.seconds = time.process_time() - started
        """Processor time spent in Pythia."""

    def batch(self, events: int) -> Record:
        """Generate the next events; those that fail are replaced."""
        started = time.process_time()
        batch = self._pythia.nextBatch(events, errorMode="skip")
        self.seconds += time.process_time() - started
        if len(batch) != events:
            raise HepfmError(f"Pythia returned {len(batch)} of {events} events")
        return _flatten(batch)

    def stable(self, record: Record) -> Particles:
        """Return the final particles of a record, neutrinos included."""
        index = np.flatnonzero(record.status > 0)
        pdg = record.pdg[index]
        codes, inverse = np.unique(pdg, return_inverse=True)
        charges = np.array([self._pythia.particleData.charge(int(code)) for code in codes])
        columns = {
            name: getattr(record, name)[index] for name in ("px", "py", "pz", "energy", "mass", "x", "y", "z")
        }
        return Particles(event=record.event_of(index), pdg=pdg, charge=charges[inverse], **columns)


def configured(lines: Sequence[str], *, where: str) -> Any:
    """Return a Pythia with the lines read, not yet started; raise `ConfigError` for a line it refuses."""
    pythia = import_pythia().Pythia("", False)
    for line in (*QUIET, *lines):
        if not pythia.readString(line, False) or not _has_value(pythia.settings, line):
            raise ConfigError(f"{where}: Pythia does not take the line {line!r}; check its name and value")
    return pythia


def _has_value(settings: Any, line: str) -> bool:
    """Tell whether the value of a line fits: Pythia reads any unknown word as off and any non-number as 0."""
    key, _, value = (part.strip() for part in line.partition("="))
    if settings.isFlag(key):
        return value.lower() in {"on", "off", "yes", "no", "true", "false", "1", "0"}
    if settings.isMode(key) or settings.isParm(key):
        try:
            float(value)
        except ValueError:
            return False
    return True


def import_pythia() -> Any:
    """Import pythia8mc; raise `MissingExtraError` where it is absent."""
    try:
        import awkward
        import pythia8mc
    except ImportError as error:
        raise missing_extra(error.name or "pythia8mc", "sim") from None
    del awkward  # nextBatch needs it
    return pythia8mc


def _flatten(batch: Any) -> Record:
    import awkward

    entries = awkward.to_packed(batch.prt).layout
    offsets = np.asarray(entries.offsets.data, np.int64)
    fields = {name: entries.content.content(name) for name in entries.content.fields}
    first = np.repeat(offsets[:-1], np.diff(offsets))

    def integers(name: str) -> Ints:
        return np.asarray(fields[name].data, np.int64)

    def link(name: str) -> Ints:
        local = integers(name)
        return np.where(local > 0, local + first, 0)

    momentum = {name: np.asarray(fields["p"].content(name).data) for name in ("px", "py", "pz", "e")}
    vertex = {name: _optional(fields["vProd"], name) for name in ("px", "py", "pz")}
    return Record(
        offsets=offsets,
        pdg=integers("id"),
        status=integers("status"),
        daughter1=link("daughter1"),
        daughter2=link("daughter2"),
        px=momentum["px"],
        py=momentum["py"],
        pz=momentum["pz"],
        energy=momentum["e"],
        mass=np.asarray(fields["m"].data),
        x=vertex["px"],
        y=vertex["py"],
        z=vertex["pz"],
    )


def _optional(layout: Any, name: str) -> Floats:
    """Return one coordinate of an option array, 0 where it is absent."""
    values = np.append(np.asarray(layout.content.content(name).data), 0.0)
    coordinate: Floats = values[np.asarray(layout.index.data)]
    return coordinate
