"""The contract of a search for anomalies: how unlike background an event is, by what did not see it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import DataError, DivergedError
from hepfm.core.rng import integer_seed, numpy_generator
from hepfm.core.schema import Schema
from hepfm.data.row_source import Index
from hepfm.methods.anomaly.events import Events
from hepfm.methods.anomaly.regions import Regions
from hepfm.methods.ratio.base import Floats

X = TypeVar("X")
"""What a method reads of events: it alone looks into it."""
Scorer = Callable[[X], Floats]
"""Says of what was read of events how unlike background each is, (R,)."""


@dataclass(frozen=True)
class SearchProblem:
    """What a method is given.

    Attributes
    ----------
    data
        Events of signal region and sidebands, of unknown truth.
    test
        Events that are only scored; None for none.
    regions, features
        The windows, and the observables that methods look at.
    reference
        Background that is known as such, for references; None where there is none.
    signal
        Signal that is known as such and is not in the data, for the supervised reference.
    """

    data: Events
    test: Events | None
    regions: Regions
    features: tuple[str, ...]
    reference: Events | None = None
    signal: Events | None = None


@dataclass(frozen=True)
class Sizes:
    """How much a search has to do.

    Attributes
    ----------
    data, known, test
        Events of the data, those of known truth that are learned from too, and those that are only scored.
    parts
        Rows of an event that a model reads: 2 of a pair of jets.
    folds
        Parts of the data.
    """

    data: int
    known: int
    test: int
    parts: int
    folds: int

    @property
    def seen(self) -> int:
        """Events of the data that a training looks at."""
        return self.data * (self.folds - 1) // self.folds


@dataclass(frozen=True)
class Scores:
    """How unlike background events are: the higher, the more.

    Attributes
    ----------
    data
        Of the data, (R,): of each fold by what did not see it.
    rank
        Rank of each event of the data in its own fold, above 0 and up to 1, (R,); scores of several folds are
        compared by it. Equal scores are put in a random order.
    fold
        Of each event, (R,).
    test
        Of the T test events by what was fitted without each fold, (K, T).
    facts
        How it was learned, JSON-ready.
    """

    data: Floats
    rank: Floats
    fold: Index
    test: Floats
    facts: Mapping[str, Any] = field(default_factory=dict)


class AnomalyMethod(ABC, Generic[X]):
    """A way of finding anomalies: one file and one row in `hepfm.methods.anomaly`.

    Parameters
    ----------
    config
        Its options.
    """

    Config: ClassVar[type[BaseConfig]]
    folded: ClassVar[bool] = True
    """Whether anything is learned from the data; then no event is scored by what saw it."""
    reference: ClassVar[bool] = False
    """Whether it needs background that is known as such."""
    signal: ClassVar[bool] = False
    """Whether it needs signal that is known as such."""
    models: ClassVar[tuple[str, ...]] = ()
    """Options that name model directories."""

    def __init__(self, config: BaseConfig) -> None:
        self.config = config

    @abstractmethod
    def check(self, schema: Schema, features: tuple[str, ...], *, where: str) -> None:
        """Raise `HepfmError` for a store that it cannot read, before anything is run.

        Parameters
        ----------
        schema
            Of the store's rows: events, or jets of which the two of an event belong together.
        features
            Observables of the analysis.
        where
            What store it is, for messages.
        """

    @abstractmethod
    def read(self, events: Events, features: tuple[str, ...]) -> X:
        """Return what is read of events."""

    @abstractmethod
    def take(self, x: X, places: Index) -> X:
        """Return some of what was read, by places."""

    def prepare(self, problem: SearchProblem, x: X, seed: int) -> Any:
        """Return what is learned once for all folds, of nothing in the signal region."""
        return None

    @abstractmethod
    def learn(self, problem: SearchProblem, x: X, prepared: Any, seen: Index, seed: int) -> Scorer[X]:
        """Learn from some of the data alone.

        Parameters
        ----------
        problem
            The data and what else is known.
        x
            What was read of all data.
        prepared
            What `prepare` returned.
        seen
            Places of the data that may be looked at.
        seed
            Of the training.
        """

    def work(self, sizes: Sizes) -> float:
        """Return what the time of a search grows with: by default events times trainings on them."""
        return float(sizes.folds * sizes.seen)

    def fit(self, problem: SearchProblem, *, folds: int, seed: int) -> Scores:
        """Score data and test events; raise `DivergedError` when a score is not finite.

        Parameters
        ----------
        problem
            The data and what else is known.
        folds
            Number of parts of the data; a part is scored by what was learned from the others.
        seed
            Of folds and trainings.
        """
        problem.regions.check(problem.data.mass, what="the data")
        if self.reference:
            if problem.reference is None:
                raise DataError("a method that knows true background needs the sample `reference`")
            problem.regions.check(problem.reference.mass, what="the reference")
        if self.signal and problem.signal is None:
            raise DataError("a method that knows true signal needs signal events that are not in the data")
        x = self.read(problem.data, problem.features)
        test = None if problem.test is None else self.read(problem.test, problem.features)
        prepared = self.prepare(problem, x, integer_seed(seed, "anomaly.prepare", bits=31))
        count = len(problem.data)
        number = _folds(count, folds if self.folded else 1, seed)
        data, tested = np.empty(count), []
        for one in range(number.max() + 1):
            held = np.flatnonzero(number == one)
            seen = np.flatnonzero(number != one) if self.folded else np.zeros(0, np.int64)
            scorer = self.learn(problem, x, prepared, seen, integer_seed(seed, "anomaly.fold", one, bits=31))
            data[held] = scorer(self.take(x, held))
            tested.append(np.zeros(0) if test is None else scorer(test))
        scored = np.stack(tested)
        bad = int((~np.isfinite(data)).sum() + (~np.isfinite(scored)).sum())
        if bad:
            raise DivergedError(f"{bad} scores of events are NaN or infinite; the training did not converge")
        return Scores(data, _ranks(data, number, seed), number, scored)


def _folds(count: int, folds: int, seed: int) -> Index:
    """Return the fold of each event: as many in each, at random."""
    return numpy_generator(seed, "anomaly.folds").permutation(np.arange(count) % folds)


def _ranks(scores: Floats, fold: npt.NDArray[np.int64], seed: int) -> Floats:
    rank = np.empty(len(scores))
    chance = numpy_generator(seed, "anomaly.ties").random(len(scores))
    for number in np.unique(fold):
        held = np.flatnonzero(fold == number)
        order = held[np.lexsort((chance[held], scores[held]))]
        rank[order] = np.arange(1, len(held) + 1) / len(held)
    return rank
