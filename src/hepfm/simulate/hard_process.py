"""Hard events without shower, and Pythia that showers and hadronises given ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepfm.core.errors import ConfigError, HepfmError
from hepfm.simulate.lhe import used_up
from hepfm.simulate.lines import setting
from hepfm.simulate.particles import Ints
from hepfm.simulate.pythia import Pythia, Record, flatten, import_pythia

_PARTONS_OFF = "PartonLevel:all = off"
_FROM_MEMORY = "Beams:frameType = 5"
_CODE_OF_GIVEN_EVENTS = 9999
"""Pythia's number of the process of events that it is given."""

_STATUS = {-21: -1, -22: 2}
"""Les Houches status of Pythia's incoming and decayed particles; all others are final."""

_SYSTEM = 2
"""Entries of Pythia's record before the incoming particles that a Les Houches event does not have."""

PROCESS_GROUPS = (
    *("Bottomonium", "Charmonium", "Onia", "ContactInteractions", "DM", "ExcitedFermion", "HardQCD"),
    *("ExtraDimensionsG*", "ExtraDimensionsLED", "ExtraDimensionsTEV", "ExtraDimensionsUnpart"),
    *("FourthBottom", "FourthPair", "FourthTop", "HiddenValley", "HiggsBSM", "HiggsSM", "LeptoQuark"),
    *(
        "LeftRightSymmmetry",
        "LowEnergyQCD",
        "NewGaugeBoson",
        "PhotonCollision",
        "PhotonParton",
        "PromptPhoton",
    ),
    *("SUSY", "SoftQCD", "Top", "WeakBosonAndParton", "WeakBosonExchange"),
    *("WeakDoubleBoson", "WeakSingleBoson"),
)
"""Groups of Pythia's settings that switch processes on, from its manual's pages on processes."""

_NAMED_PROCESSES = frozenset(
    ("hardccbar", "hardbbbar", "3parton", "monojet", "dijets", "nondiffractive", "inelastic", "elastic")
)


@dataclass(frozen=True)
class HardEvent:
    """A hard event with its resonance decays.

    Attributes
    ----------
    scale
        Scale at which its shower starts, GeV.
    weight
        Its weight.
    particles
        Arguments of Pythia's ``LHAup.addParticle`` but for the last: code, status, mothers, colours,
        momentum, mass, proper lifetime, helicity.
    position
        Where it stands in the file of events, from 0; None for one that Pythia made.
    """

    scale: float
    weight: float
    particles: tuple[tuple[float, ...], ...]
    position: int | None = None


@dataclass(frozen=True)
class Beams:
    """Codes and energies (GeV) of the two beams."""

    codes: tuple[int, int]
    energies: tuple[float, float]


class HardProcess(Pythia):
    """Pythia 8 with these lines and this seed, stopped before shower and hadronisation.

    Parameters are those of `hepfm.simulate.pythia.PythiaGenerator`.
    """

    def __init__(self, lines: Sequence[str], *, seed: int, where: str, events: range | None = None) -> None:
        super().__init__([*lines, _PARTONS_OFF], seed=seed, where=where, events=events)
        self._events, self._left = events, len(events or ())
        self.weight_sum = 0.0
        """Sum of the weights of all events so far."""

    @property
    def beams(self) -> Beams:
        """The beams."""
        info = self._pythia.infoPython()
        return Beams((info.idA(), info.idB()), (info.eA(), info.eB()))

    def batch(self, number: int) -> list[HardEvent]:
        """Return the next events; those that fail are replaced, but for those of a file.

        Raises
        ------
        DataError
            When the events of the file are used up.
        """
        events: list[HardEvent] = []
        if self._events is None:
            while len(events) < number:
                events += self._next()
        else:
            start = self._events.stop - self._left
            positions = range(start, min(start + number, self._events.stop))
            self._left -= len(positions)
            for position in positions:
                events += self._next(position)
            if not events:
                raise used_up(self._events, where=self._where)
        self.weight_sum += sum(event.weight for event in events)
        return events

    def _next(self, position: int | None = None) -> list[HardEvent]:
        begin = time.process_time()
        good = self._pythia.next()
        self.seconds += time.process_time() - begin
        if not good:
            return []
        process = self._pythia.process
        particles = tuple(_particle(process[k]) for k in range(1 + _SYSTEM, process.size()))
        return [HardEvent(process.scale(), self._pythia.infoPython().weight(), particles, position)]


def _particle(entry: Any) -> tuple[float, ...]:
    mothers = (max(mother - _SYSTEM, 0) for mother in (entry.mother1(), entry.mother2()))
    momentum = (entry.px(), entry.py(), entry.pz(), entry.e(), entry.m())
    colours = (entry.col(), entry.acol())
    status = _STATUS.get(entry.status(), 1)
    return (entry.id(), status, *mothers, *colours, *momentum, entry.tau(), entry.pol())


class Resimulator(Pythia):
    """Pythia 8 that gives hard events their shower, multi-parton interactions and hadrons.

    Parameters
    ----------
    lines
        Settings; those that switch on processes, or name an event file, are left out.
    seed
        From 1 to 9e8.
    where
        What the lines belong to, for messages.
    beams
        Those of the hard events.

    Raises
    ------
    ConfigError
        For settings with which Pythia cannot start.
    """

    def __init__(self, lines: Sequence[str], *, seed: int, where: str, beams: Beams) -> None:
        self._source = _source(beams)
        own = [line for line in lines if not chooses_events(line)]
        super().__init__([*own, _FROM_MEMORY], seed=seed, where=where, source=self._source)

    def simulate(self, events: Sequence[HardEvent]) -> tuple[Record, Ints]:
        """Return the record of hard events with their weights, and the number of each; some events may
        fail."""
        import awkward as ak

        begin = time.process_time()
        self._source.waiting.extend(events)
        batch = self._pythia.nextBatch(len(events), errorMode="none")
        codes = [int(code) for code in self._pythia.infoPython().codesHard()]
        if codes != [_CODE_OF_GIVEN_EVENTS]:
            raise ConfigError(
                f"{self._where}: with these lines Pythia makes events of its own beside the given ones "
                f"(processes {codes}); switch them off in the lines of the variation"
            )
        if self._source.waiting:
            raise HepfmError(f"Pythia left {len(self._source.waiting)} of {len(events)} hard events")
        number = np.flatnonzero(~ak.to_numpy(ak.is_none(batch)))
        record = flatten(ak.to_packed(ak.drop_none(batch)))
        self.seconds += time.process_time() - begin
        weight = np.array([events[k].weight for k in number.tolist()], np.float64)
        return record.with_weights(weight), number


def chooses_events(line: str) -> bool:
    """Tell whether a line says which hard events there are: a process that is on, its phase space, or a file.

    >>> [chooses_events(line) for line in ("hardQCD:all = on", "Beams:LHEF = a.lhe", "HiddenValley:FSR = on")]
    [True, True, False]
    """
    key, _ = setting(line)
    group, _, name = key.partition(":")
    if group == "phasespace" or key in ("beams:frametype", "beams:lhef"):
        return True
    return group in {group.lower() for group in PROCESS_GROUPS} and (
        "2" in name or name.startswith(("all", "single", "double", "central")) or name in _NAMED_PROCESSES
    )


def _source(beams: Beams) -> Any:
    """Return what Pythia is given events by; they are appended to its `waiting`."""
    pythia8 = import_pythia()

    class Source(pythia8.LHAup):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__(3)  # each event counts once; weights are put into the record afterwards
            self.waiting: list[HardEvent] = []

        def setInit(self) -> bool:
            self.setBeamA(beams.codes[0], beams.energies[0])
            self.setBeamB(beams.codes[1], beams.energies[1])
            self.addProcess(_CODE_OF_GIVEN_EVENTS, 1.0, 0.0, 1.0)
            return True

        def setEvent(self, idProcIn: int = 0) -> bool:
            if not self.waiting:
                return False
            event = self.waiting.pop(0)
            self.setProcess(_CODE_OF_GIVEN_EVENTS, 1.0, event.scale, -1.0, -1.0)
            for particle in event.particles:
                self.addParticle(*particle, -1.0)
            return True

    return Source()
