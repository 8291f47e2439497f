"""One unfolding: data and simulation of an analysis, OmniFold's iterations kept on disk, and what is
projected of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic

from hepfm.core.config import Config
from hepfm.core.errors import DivergedError
from hepfm.core.files import atomic_path, read_json, write_json
from hepfm.core.log import logger
from hepfm.core.rng import uniform_of
from hepfm.data.level_pairs import LevelPairs, level_rows, pair_rows
from hepfm.data.schemas.levels import JET_LEVEL
from hepfm.methods.bayesian_iteration import Response, bayesian_iteration
from hepfm.methods.binning import Binning, bin_numbers, histograms
from hepfm.methods.observables import Values, read_observables
from hepfm.methods.omnifold import Iteration, OmniFoldConfig, SimulatedEvents, omnifold, scaled_weights
from hepfm.methods.overlap import check_overlap
from hepfm.methods.ratio.base import Floats, RatioEstimator
from hepfm.methods.samples import WeightedSample, event_weights, events_of, poisson_weights
from hepfm.methods.weight_summary import WeightSummary

Test = Literal["closure", "stress", "coverage"]


class Stress(Config):
    """How pseudo-data of a stress test differ from the simulation: events count 1 + strength (2 q - 1).

    Attributes
    ----------
    observable
        At particle level; q is the share of events below an event's value.
    strength
        From -1 to 1.
    """

    observable: str
    strength: float = pydantic.Field(0.5, ge=-1, le=1)


@dataclass(frozen=True)
class UnfoldProblem:
    """What is unfolded with what.

    Attributes
    ----------
    data
        Rows at detector level, in one sample or several; background that is subtracted has negative weights.
    simulation, pairs, weights
        The simulated events and their weights, (E,).
    truth
        Rows at particle level of what the data are, where that is known; None for real data.
    """

    data: tuple[WeightedSample, ...]
    simulation: WeightedSample
    pairs: LevelPairs
    weights: Floats
    truth: WeightedSample | None

    @classmethod
    def of(cls, data: WeightedSample, simulation: WeightedSample) -> UnfoldProblem:
        """Return data and simulation as they are; the particle level of simulated data is the truth."""
        pairs = pair_rows(simulation.source, simulation.rows)
        at_detector = data.with_rows(level_rows(data.source, data.rows, "detector"))
        particle = level_rows(data.source, data.rows, "particle")
        truth = data.with_rows(particle) if len(particle) else None
        return cls((at_detector,), simulation, pairs, _of_events(simulation, pairs), truth)

    @classmethod
    def tested(cls, simulation: WeightedSample, seed: int, stress: Stress | None = None) -> UnfoldProblem:
        """Return a half of the simulation as data for the other half; with `stress` it is another
        distribution."""
        pairs = pair_rows(simulation.source, simulation.rows)
        chosen = uniform_of(pairs.event_id, seed, "unfold.halves") < 0.5
        halves = pairs.of(chosen), pairs.of(~chosen)
        weights = _of_events(simulation, halves[0])
        if stress is not None:
            weights = weights * _tilt(simulation, halves[0], stress)
        first = halves[0]
        return cls(
            (WeightedSample(simulation.source, first.rows["detector"], weights[first.passes["detector"]]),),
            simulation,
            halves[1],
            _of_events(simulation, halves[1]),
            WeightedSample(simulation.source, first.rows["particle"], weights[first.passes["particle"]]),
        )

    def replica(self, seed: int) -> UnfoldProblem:
        """Return a bootstrap replica: data (with their truth, of the same events) and simulation are drawn
        anew."""
        parts = [_drawn(part, seed, number) for number, part in enumerate(self.data)]
        simulated = poisson_weights(self.pairs.event_id, seed, "unfold.bootstrap.simulation")
        truth = _drawn(self.truth, seed, 0) if self.truth else None
        return replace(self, data=tuple(parts), truth=truth, weights=self.weights * simulated)

    def less(self, background: WeightedSample) -> UnfoldProblem:
        """Return the problem with simulated background subtracted from the data, by rows of negative
        weight."""
        rows = background.rows
        if JET_LEVEL.name in background.schema:
            rows = level_rows(background.source, rows, "detector")
        chosen = background.with_rows(rows)
        return replace(self, data=(*self.data, replace(chosen, weights=-chosen.weights)))


def _of_events(simulation: WeightedSample, pairs: LevelPairs) -> Floats:
    """Return the weight of each event: that of its particle level, or of its detector level where it is a
    fake."""
    weights = np.empty(len(pairs))
    weights[pairs.passes["detector"]] = event_weights(simulation.source, pairs.rows["detector"])
    weights[pairs.passes["particle"]] = event_weights(simulation.source, pairs.rows["particle"])
    return weights


def _tilt(simulation: WeightedSample, pairs: LevelPairs, stress: Stress) -> Floats:
    """Return the factor of each event; events that do not exist at particle level keep their weight."""
    values = read_observables(simulation.source, pairs.rows["particle"], (stress.observable,))[:, 0]
    share = np.argsort(np.argsort(values, kind="stable"), kind="stable") / max(len(values) - 1, 1)
    factor = np.ones(len(pairs))
    factor[pairs.passes["particle"]] = 1 + stress.strength * (2 * share - 1)
    return factor


def _drawn(part: WeightedSample, seed: int, number: int) -> WeightedSample:
    factor = poisson_weights(events_of(part), seed, "unfold.bootstrap.data", number)
    return replace(part, weights=part.weights * factor)


@dataclass(frozen=True)
class Unfolding:
    """The iterations of one unfolding.

    Attributes
    ----------
    iterations
        Those that were finished.
    weights
        Of the E events before the first iteration.
    diverged
        Why there are no more; empty when all that were asked for are there.
    """

    iterations: tuple[Iteration, ...]
    weights: Floats
    diverged: str = ""

    @property
    def unfolded(self) -> Floats:
        """Weights of the E events after the last iteration."""
        return self.weights * self.iterations[-1].push


def unfold(
    problem: UnfoldProblem,
    estimators: tuple[RatioEstimator[Any], RatioEstimator[Any]],
    config: OmniFoldConfig,
    *,
    binning: Binning,
    seed: int,
    folder: Path | None = None,
) -> Unfolding:
    """Unfold, keeping every iteration in a folder; what is there already is not done again.

    Parameters
    ----------
    problem
        Data and simulation.
    estimators
        Of detector level and of particle level.
    config
        OmniFold's options.
    binning
        Observables at detector level in which data and simulation have to overlap.
    seed
        Of the trainings.
    folder
        Where iterations are kept; None keeps nothing.

    Raises
    ------
    DataError
        When data and simulation are disjoint, or weights add up to nothing.
    DivergedError
        When the first iteration diverges; a later one ends the unfolding, and those before it are kept.
    """
    data_weights = np.concatenate([part.weights for part in problem.data])
    names = tuple(binning)
    detector = read_observables(problem.simulation.source, problem.pairs.rows["detector"], names)
    measured = np.concatenate([read_observables(part.source, part.rows, names) for part in problem.data])
    check_overlap(names, detector, measured, data_weights, what="simulation and data at detector level")
    first, second = estimators
    source = problem.simulation.source
    simulation = SimulatedEvents(
        first.read(source, problem.pairs.rows["detector"]),
        second.read(source, problem.pairs.rows["particle"]),
        problem.pairs.passes["detector"],
        problem.pairs.passes["particle"],
        problem.weights,
    )
    data = first.join([first.read(part.source, part.rows) for part in problem.data])
    done = list(_kept(folder)) if folder and config.start == "anew" else []
    weights, diverged = scaled_weights(simulation, data_weights, config), ""
    try:
        for iteration in omnifold(estimators, data, data_weights, simulation, config, seed=seed, done=done):
            done.append(_described(iteration, weights))
            if folder is not None:
                _keep(folder, done[-1])
            logger.info("iteration %d of %d", iteration.number, config.iterations)
    except DivergedError as error:
        if not done:
            raise
        diverged = str(error)
    return Unfolding(tuple(done), weights, diverged)


def _described(iteration: Iteration, weights: Floats) -> Iteration:
    """Return an iteration whose facts tell its weights too."""
    facts = {**iteration.facts, "weights": WeightSummary.of(weights * iteration.push).to_dict()}
    return replace(iteration, facts=facts)


def _keep(folder: Path, iteration: Iteration) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{iteration.number}.npy"
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.stack([iteration.pull, iteration.push]), allow_pickle=False)
    write_json(path.with_suffix(".json"), iteration.facts)  # last: it says that the iteration is whole


def _kept(folder: Path) -> Iterator[Iteration]:
    number = 1
    while (path := folder / f"{number}.json").exists():
        pull, push = np.load(path.with_suffix(".npy"), allow_pickle=False)
        yield Iteration(number, pull, push, read_json(path))
        number += 1


def projections(problem: UnfoldProblem, unfolding: Unfolding, binning: Binning) -> dict[str, Any]:
    """Return histograms of all observables, JSON-ready: of each iteration, of truth and prior, and binned
    unfolding.

    Keys: ``unfolded`` (one dictionary an iteration), ``prior``, ``truth`` (None for real data) at particle
    level; ``data``, ``folded`` (the simulation with the weights of each iteration), ``expected`` (before) at
    detector level; ``bayesian``, D'Agostini's iteration of each observable alone, as many times."""
    names, pairs, source = tuple(binning), problem.pairs, problem.simulation.source
    detector, particle = (
        read_observables(source, rows, names) for rows in (pairs.rows["detector"], pairs.rows["particle"])
    )
    data = [(read_observables(part.source, part.rows, names), part.weights) for part in problem.data]
    measured = {name: np.zeros(len(edges) - 1) for name, edges in binning.items()}
    for values, weights in data:
        for name, counts in histograms(values, binning, weights).items():
            measured[name] += counts
    truth = None
    if problem.truth is not None:
        values = read_observables(problem.truth.source, problem.truth.rows, names)
        truth = histograms(values, binning, problem.truth.weights)
    weights = unfolding.weights
    return {
        "unfolded": [
            histograms(particle, binning, (weights * one.push)[pairs.passes["particle"]])
            for one in unfolding.iterations
        ],
        "prior": histograms(particle, binning, weights[pairs.passes["particle"]]),
        "truth": truth,
        "data": {name: counts.tolist() for name, counts in measured.items()},
        "folded": [
            histograms(detector, binning, (weights * one.push)[pairs.passes["detector"]])
            for one in unfolding.iterations
        ],
        "expected": histograms(detector, binning, weights[pairs.passes["detector"]]),
        "bayesian": {
            name: _binned(
                detector[:, place],
                particle[:, place],
                problem,
                weights,
                measured[name],
                edges,
                len(unfolding.iterations),
            )
            for place, (name, edges) in enumerate(binning.items())
        },
    }


def _binned(
    detector: Values,
    particle: Values,
    problem: UnfoldProblem,
    weights: Floats,
    data: Floats,
    edges: tuple[float, ...],
    iterations: int,
) -> list[float]:
    """Return D'Agostini's iteration of one observable."""
    bins, numbers = len(edges) - 1, np.zeros((2, len(weights)), np.int64)
    numbers[0, problem.pairs.passes["detector"]] = bin_numbers(detector, edges)
    numbers[1, problem.pairs.passes["particle"]] = bin_numbers(particle, edges)
    response = Response.of(
        numbers[0],
        numbers[1],
        weights,
        bins=(bins, bins),
        detected=problem.pairs.passes["detector"],
        generated=problem.pairs.passes["particle"],
    )
    return bayesian_iteration(data, response, iterations=iterations).tolist()
