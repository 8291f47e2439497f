"""Pythia 8 as a source of event records, in batches that come as flat arrays."""

from __future__ import annotations

import ctypes
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.core.errors import ConfigError, DataError, HepfmError, missing_extra
from hepfm.simulate.lhe import cut_out, event_file, used_up
from hepfm.simulate.lines import refuse_seed, setting
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
        First and last daughter, counted within the event; 0 where there is none. See `daughters`.
    px, py, pz, energy, mass
        GeV.
    vertex
        Production vertex of each entry as an index into `x`, `y`, `z`; -1 for the origin.
    x, y, z
        Vertices, mm, shape (vertices,).
    weight
        Nominal weight of each event, shape (events,).
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
    vertex: Ints
    x: Floats
    y: Floats
    z: Floats
    weight: Floats

    @property
    def num_events(self) -> int:
        """Number of events."""
        return len(self.offsets) - 1

    def with_weights(self, weight: Floats) -> Record:
        """Return the record with other weights of its events."""
        return replace(self, weight=weight)

    def event_of(self, index: Ints) -> Ints:
        """Return the event that entries belong to."""
        return np.searchsorted(self.offsets, index, side="right") - 1

    def daughters(self, index: Ints) -> tuple[Ints, Ints]:
        """Return the first and last daughter of entries as indices into the arrays; 0 where there is none."""
        start = self.offsets[self.event_of(index)]
        first, last = self.daughter1[index], self.daughter2[index]
        return np.where(first > 0, start + first, 0), np.where(last > 0, start + last, 0)

    def vertices(self, index: Ints) -> tuple[Floats, Floats, Floats]:
        """Return x, y, z in mm of where entries were produced."""
        vertex = self.vertex[index]
        displaced = np.flatnonzero(vertex >= 0)
        x, y, z = np.zeros((3, len(index)))
        for target, source in ((x, self.x), (y, self.y), (z, self.z)):
            target[displaced] = source[vertex[displaced]]
        return x, y, z


class Pythia:
    """A Pythia 8 that has started, and the time that is spent in it.

    Parameters
    ----------
    lines
        Settings, e.g. ``"HardQCD:all = on"``.
    seed
        From 1 to 9e8. The same lines and seed give the same events, whatever ran before.
    where
        What the lines belong to, for messages.
    source
        An ``LHAup`` that gives it its hard events; None where it makes its own, or reads a file.
    events
        For lines that read an event file: which of its events are used.

    Raises
    ------
    ConfigError
        For a line that Pythia does not know, or settings with which it cannot start.
    """

    def __init__(
        self,
        lines: Sequence[str],
        *,
        seed: int,
        where: str,
        source: Any = None,
        events: range | None = None,
    ) -> None:
        begin = time.process_time()
        self._where = where
        file = event_file(lines, where=where) if events else None
        if file is None or events is None:
            self._pythia = started(lines, seed=seed, where=where, source=source)
        else:
            # Pythia keeps the file open: its name may go.
            with tempfile.TemporaryDirectory() as folder:
                lines = [*lines, *cut_out(file, events, Path(folder) / "events.lhe")]
                self._pythia = started(lines, seed=seed, where=where)
        self.seconds = time.process_time() - begin
        """Processor time spent in Pythia."""

    @property
    def sigma_mb(self) -> float:
        """Pythia's estimate of the cross section so far, mb."""
        return float(self._pythia.infoPython().sigmaGen())

    def stable(self, record: Record) -> Particles:
        """Return the final particles of a record, neutrinos included."""
        index = np.flatnonzero(record.status > 0)
        pdg = record.pdg[index]
        x, y, z = record.vertices(index)
        return Particles(
            event=record.event_of(index),
            pdg=pdg,
            charge=self.charges(pdg),
            **{name: getattr(record, name)[index] for name in ("px", "py", "pz", "energy", "mass")},
            x=x,
            y=y,
            z=z,
            entry=index,
        )

    def charges(self, pdg: Ints) -> Floats:
        """Return the charges of particles, in units of e, by their codes."""
        codes, inverse = np.unique(pdg, return_inverse=True)
        data = self._pythia.particleData
        return np.array([data.charge(int(code)) for code in codes], np.float64)[inverse]

    def mass(self, code: int) -> float:
        """Return the mass parameter of a kind of particles in GeV."""
        return float(self._pythia.particleData.m0(code))

    def decay_lengths(self, codes: Ints) -> Floats:
        """Return c tau, mm, of kinds of particles by their codes; 0 for what Pythia lets decay at once."""
        data = self._pythia.particleData
        return np.array([data.tau0(int(code)) for code in codes])


class PythiaGenerator(Pythia):
    """Pythia 8 with these lines and this seed, as a source of whole events.

    Parameters
    ----------
    lines, seed, where
        As for `Pythia`.
    events
        For lines that read an event file: which of its events are used. None where Pythia makes its own.
    """

    def __init__(self, lines: Sequence[str], *, seed: int, where: str, events: range | None = None) -> None:
        super().__init__(lines, seed=seed, where=where, events=events)
        self._events, self._left = events, len(events or ())
        self.weight_sum = 0.0
        """Sum of the weights of all events so far."""

    def batch(self, events: int) -> Record:
        """Generate the next events; those that fail are replaced, but for those of a file.

        Raises
        ------
        DataError
            When the events of the file are used up.
        """
        begin = time.process_time()
        if self._events is None:
            batch = self._pythia.nextBatch(events, errorMode="skip")
            if len(batch) != events:
                raise HepfmError(f"Pythia returned {len(batch)} of {events} events")
        else:
            batch = self._from_file(events)
        self.seconds += time.process_time() - begin
        record = flatten(batch)
        self.weight_sum += float(record.weight.sum())
        return record

    def _from_file(self, events: int) -> Any:
        import awkward as ak

        assert self._events is not None
        if self._left == 0:
            raise used_up(self._events, where=self._where)
        number = min(events, self._left)
        self._left -= number
        # An event that fails must not be replaced: the next one in the file may be that of another chunk.
        batch = ak.to_packed(ak.drop_none(self._pythia.nextBatch(number, errorMode="none")))
        if len(batch) == 0:
            raise DataError(f"{self._where}: Pythia can use none of {number} events of the file")
        return batch


def started(lines: Sequence[str], *, seed: int, where: str, source: Any = None) -> Any:
    """Return a Pythia that has started with these lines and this seed.

    Parameters
    ----------
    source
        An ``LHAup`` that gives it its hard events.

    Raises
    ------
    ConfigError
        For a line that Pythia does not know, or settings with which it cannot start.
    """
    pythia = configured(lines, where=where)
    for line in ("Random:setSeed = on", f"Random:seed = {seed}"):
        pythia.readString(line)
    if source is not None:
        pythia.setLHAupPtr(source)
    with _silence():
        good = pythia.init()
    if not good:
        raise ConfigError(
            f"{where}: Pythia cannot start with these lines; is a process on, and open in this range?"
        )
    return pythia


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Vincia's banner, which no setting turns off, from standard output."""
    library = ctypes.CDLL(None)
    library.fflush(None)
    kept = os.dup(1)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a descriptor is asked for
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        library.fflush(None)
        os.dup2(kept, 1)
        os.close(kept)


def configured(lines: Sequence[str], *, where: str) -> Any:
    """Return a Pythia with the lines read, not yet started; raise `ConfigError` for a line it refuses."""
    pythia = import_pythia().Pythia("", False)
    for line in (*QUIET, *lines):
        refuse_seed(line, where=where)
        if not pythia.readString(line, False) or not _has_value(pythia.settings, line):
            raise ConfigError(f"{where}: Pythia does not take the line {line!r}; check its name and value")
    return pythia


def _has_value(settings: Any, line: str) -> bool:
    """Tell whether the value of a line fits: Pythia reads any unknown word as off and any non-number as 0."""
    key, value = setting(line)
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


def flatten(batch: Any) -> Record:
    """Return what ``nextBatch`` gave, with no event missing, as flat arrays."""
    entries = batch.prt.layout
    fields = {name: entries.content.content(name) for name in entries.content.fields}
    momentum = {name: np.asarray(fields["p"].content(name).data) for name in ("px", "py", "pz", "e")}
    vertices = {name: np.asarray(fields["vProd"].content.content(name).data) for name in ("px", "py", "pz")}
    return Record(
        offsets=np.asarray(entries.offsets.data, np.int64),
        pdg=np.asarray(fields["id"].data),
        status=np.asarray(fields["status"].data),
        daughter1=np.asarray(fields["daughter1"].data),
        daughter2=np.asarray(fields["daughter2"].data),
        px=momentum["px"],
        py=momentum["py"],
        pz=momentum["pz"],
        energy=momentum["e"],
        mass=np.asarray(fields["m"].data),
        vertex=np.asarray(fields["vProd"].index.data),
        x=vertices["px"],
        y=vertices["py"],
        z=vertices["pz"],
        weight=_nominal(batch),
    )


def _nominal(batch: Any) -> Floats:
    """Return the first of the weights of each event; the others are variations of it."""
    weights = batch.layout.content("info").content("weights")
    return np.asarray(weights.content.data, np.float64)[np.asarray(weights.offsets.data[:-1], np.int64)]
