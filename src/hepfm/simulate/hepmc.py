"""Events of another generator, Herwig for example, from a HepMC3 file (ASCII; gzipped where it ends in .gz).

As of a Les Houches file, each chunk has events of its own by position. The particles get the same detector,
clustering and labels as those of Pythia; that is kept for the charges and lifetimes of particles alone.
Momenta and positions are brought to GeV and mm. Positions are taken relative to that of the event, so that
impact parameters are those to the primary vertex. The first weight of an event is its nominal one.

References
----------
A. Buckley et al., Comput. Phys. Commun. 260 (2021) 107310.
"""

from __future__ import annotations

import functools
import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hepfm.core.errors import DataError, missing_extra
from hepfm.core.guards import reading, regular_file
from hepfm.core.ragged import Array
from hepfm.simulate.lhe import used_up
from hepfm.simulate.particles import Ints
from hepfm.simulate.pythia import Pythia, Record

_START, _END = b"HepMC::Asciiv3-START_EVENT_LISTING", b"HepMC::Asciiv3-END_EVENT_LISTING"
_EVENT = b"E "
_WHAT = "a HepMC3 file of events"

_FINAL = 1
"""HepMC's status of final particles; all others have decayed, are beams or stand for a step of the shower."""

_SYSTEM = (90, -11)
"""Code and status of the entry before an event's particles, as in Pythia's record: none is its daughter 0."""

_PB = 1e-9
"""mb; HepMC's unit of cross sections."""


class HepmcGenerator(Pythia):
    """Events of a HepMC3 file as records like Pythia's.

    The status of a record's final particles is 1, that of others the negative one of the file: the outgoing
    partons of the hard process, for truth matches by parton, are known where a file has Pythia's status 23.

    Parameters
    ----------
    path
        The file.
    events
        Which of its events are used, by position.
    where
        What it belongs to, for messages.
    """

    def __init__(self, path: Path, *, events: range, where: str) -> None:
        super().__init__(("ProcessLevel:all = off",), seed=1, where=where)
        self._path, self._range = path, events
        self._events = read_events(path, events)
        self._sigma_mb = 0.0
        self.weight_sum = 0.0
        """Sum of the weights of all events so far."""

    @property
    def sigma_mb(self) -> float:
        """Cross section that the last event states, mb; 0 where it states none."""
        return self._sigma_mb

    def batch(self, events: int) -> Record:
        """Return the next events.

        Raises
        ------
        DataError
            When the events of the file are used up, or one cannot be read.
        """
        read = list(islice(self._events, events))
        if not read:
            raise used_up(self._range, where=self._where)
        with reading(self._path, what=_WHAT):
            record = record_of(read)
        if read[-1].cross_section is not None:
            self._sigma_mb = float(read[-1].cross_section.xsec()) * _PB
        self.weight_sum += float(record.weight.sum())
        return record


def check(path: Path) -> None:
    """Raise `MissingExtraError` or `DataError` where a file cannot be read; see `count_events`."""
    _import()
    count_events(path)


def count_events(path: Path) -> int:
    """Return the number of events of a file.

    Raises
    ------
    DataError
        When the file is missing, is no HepMC3 file or has no end: its last event may be cut off.
    """
    if not path.is_file():
        raise DataError(f"no file {str(path)!r} of HepMC3 events")
    return _count(path, path.stat().st_mtime_ns)


@functools.lru_cache
def _count(path: Path, _changed: int) -> int:
    count, last = 0, b""
    with reading(path, what=_WHAT), _open(path) as file:
        if not any(line.startswith(_START) for line in islice(file, 10)):
            raise DataError("it is no HepMC3 file in ASCII: its first lines lack HepMC::Asciiv3")
        for line in file:
            count += line.startswith(_EVENT)
            last = line if line.strip() else last
        if not last.startswith(_END):
            raise DataError(
                "it ends before the end of its listing, its last event may be cut off; write it anew"
            )
    return count


def read_events(path: Path, events: range) -> Iterator[Any]:
    """Return events of a file by position, as ``pyhepmc.GenEvent`` in GeV and mm."""
    with reading(path, what=_WHAT), _open(path) as file:
        for position, text in enumerate(islice(_texts(file), events.stop)):
            if position in events:
                yield _parsed(text, f"position {position}")


class NumberedEvents:
    """Events of a file by their number, in GeV and mm.

    Parameters
    ----------
    path
        The file; one that is not gzipped is read at any place, a gzipped one best by rising numbers.

    Raises
    ------
    DataError
        When it cannot be read, or a number comes twice.
    """

    def __init__(self, path: Path) -> None:
        count_events(path)
        self.path = path
        self._places: dict[int, int] = {}
        self._head, place = b"", 0
        with reading(path, what=_WHAT), _open(path) as file:
            for line in file:
                if line.startswith(_EVENT):
                    number = int(line.split()[1])
                    if number in self._places:
                        raise DataError(
                            f"it has the event number {number} twice, so that its events are not those of "
                            "hard events"
                        )
                    self._places[number] = place
                elif not self._places:
                    self._head += line
                place += len(line)

    def __contains__(self, number: int) -> bool:
        return number in self._places

    def read(self, numbers: Sequence[int]) -> list[Any]:
        """Return each ``pyhepmc.GenEvent`` of these numbers."""
        with reading(self.path, what=_WHAT), _open(self.path) as file:
            return [self._read(file, number) for number in numbers]

    def _read(self, file: BinaryIO, number: int) -> Any:
        file.seek(self._places[number])
        lines = [file.readline()]
        while (line := file.readline()) and not line.startswith((_EVENT, _END)):
            lines.append(line)
        return _parsed(b"".join([self._head, *lines, _END, b"\n\n"]), f"number {number}")


def _parsed(text: bytes, which: str) -> Any:
    """Return the event in GeV and mm that a listing of one event holds."""
    pyhepmc = _import()
    event = pyhepmc.open(io.BytesIO(text), "r").read()
    if event is None:
        raise DataError(f"its event of {which} cannot be read or has no particles")
    event.set_units(pyhepmc.Units.GEV, pyhepmc.Units.MM)
    return event


def _texts(file: BinaryIO) -> Iterator[bytes]:
    """Return each event as a file of its own: the lines before the first event, its own, and the end."""
    head: list[bytes] = []
    own: list[bytes] = []
    for line in file:
        starts, ends = line.startswith(_EVENT), line.startswith(_END)
        if own and (starts or ends):
            yield b"".join([*head, *own, _END, b"\n\n"])
            own = []
        if starts or own:
            own.append(line)
        else:
            head.append(line)


def record_of(events: Sequence[Any]) -> Record:
    """Return events as flat arrays: the particles of a vertex stand together, after those of none."""
    parts = [_flat(event) for event in events]
    lengths = np.array([len(part.pdg) for part in parts])
    vertices = np.array([len(part.position) for part in parts])
    before = np.repeat(np.cumsum(vertices) - vertices, lengths)
    vertex = np.concatenate([part.vertex for part in parts])
    momentum = np.concatenate([part.momentum for part in parts])
    position = np.concatenate([part.position for part in parts])
    return Record(
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        pdg=np.concatenate([part.pdg for part in parts]),
        status=np.concatenate([part.status for part in parts]),
        daughter1=np.concatenate([part.daughters[:, 0] for part in parts]),
        daughter2=np.concatenate([part.daughters[:, 1] for part in parts]),
        px=momentum[:, 0],
        py=momentum[:, 1],
        pz=momentum[:, 2],
        energy=momentum[:, 3],
        mass=momentum[:, 4],
        vertex=np.where(vertex < 0, -1, vertex + before),
        x=position[:, 0],
        y=position[:, 1],
        z=position[:, 2],
        weight=np.array([event.weights[0] if event.weights else 1.0 for event in events], np.float64),
    )


@dataclass(frozen=True)
class _Flat:
    """One event: entries, (n,) or (n, ...), the first of them the system, and positions of vertices."""

    pdg: Ints
    status: Ints
    daughters: Ints
    momentum: Array
    vertex: Ints
    position: Array


def _flat(event: Any) -> _Flat:
    particles, vertices = event.numpy.particles, event.vertices
    outgoing = [[particle.id for particle in vertex.particles_out] for vertex in vertices]
    n = len(particles.id)
    produced = np.zeros(n + 1, bool)
    produced[[number for numbers in outgoing for number in numbers]] = True
    order = np.flatnonzero(~produced)[1:].tolist() + [number for numbers in outgoing for number in numbers]
    if sorted(order) != list(range(1, n + 1)):
        raise DataError(f"a particle of event {event.event_number} comes from two vertices")
    index = np.array(order) - 1
    entry = np.zeros(n + 1, np.int64)
    entry[order] = np.arange(1, n + 1)
    daughters, vertex = np.zeros((n + 1, 2), np.int64), np.full(n + 1, -1)
    for k, (numbers, point) in enumerate(zip(outgoing, vertices, strict=True)):
        if not numbers:
            continue
        first, last = entry[numbers[0]], entry[numbers[-1]]
        vertex[first : last + 1] = k
        for particle in point.particles_in:
            daughters[entry[particle.id]] = first, last
    status = np.asarray(particles.status)[index]
    columns = (particles.px, particles.py, particles.pz, particles.e, particles.generated_mass)
    momentum = np.stack([np.asarray(column)[index] for column in columns], axis=1)
    origin = event.event_pos()
    position = [
        (p.x - origin.x, p.y - origin.y, p.z - origin.z) for p in (point.position for point in vertices)
    ]
    return _Flat(
        pdg=np.concatenate([[_SYSTEM[0]], np.asarray(particles.pid)[index]]),
        status=np.concatenate([[_SYSTEM[1]], np.where(status == _FINAL, _FINAL, -np.abs(status))]),
        daughters=daughters,
        momentum=np.concatenate([np.zeros((1, 5)), momentum]),
        vertex=vertex,
        position=np.array(position, np.float64).reshape(-1, 3),
    )


def _open(path: Path) -> BinaryIO:
    regular_file(path)
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _import() -> Any:
    """Import pyhepmc; raise `MissingExtraError` where it is absent."""
    try:
        import pyhepmc
    except ImportError:
        raise missing_extra("pyhepmc", "hepmc") from None
    return pyhepmc
