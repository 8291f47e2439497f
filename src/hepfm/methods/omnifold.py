"""OmniFold: unbinned unfolding by alternating density ratios (1911.09107), with acceptance and efficiency
(2105.09923).

The simulation has events at particle level and at detector level. Step 1 learns at detector level how the
data differ from the weighted simulation and pulls the weights of events to the data; step 2 learns what
of this is a function of the particle level, and pushes it back to all events that exist there. The result is
a weight for each event of the simulation that exists at particle level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal

import numpy as np
import numpy.typing as npt
import pydantic

from hepfm.core.config import Config
from hepfm.core.errors import DataError, DivergedError, IncompatibleError
from hepfm.core.rng import integer_seed
from hepfm.methods.ratio.base import Floats, Ratio, RatioEstimator, TwoWeights, X

Mask = npt.NDArray[np.bool_]
STEPS = ("detector", "particle")
"""Levels of step 1 and step 2."""


class OmniFoldConfig(Config):
    """Options of `omnifold`.

    Attributes
    ----------
    iterations
        Of both steps.
    start
        With what a training begins: ``anew``, or where the training of the same step ended in the
        iteration before (``previous``), as in package ``omnifold``.
    ensemble
        Trainings of each step, which differ in their seeds; the mean of their ln ratio is taken.
    normalisation
        ``shape`` scales the simulation to the data at detector level first; ``rate`` takes its weights as
        they are, as numbers of events that are expected in the data.
    inefficiency
        How step 2 treats events without a detector level: ``divide`` learns from events with both levels, so
        that what was lost is inferred from the efficiency of the simulation, as in D'Agostini's iteration;
        ``keep`` also learns from these events with the weight that they had, as in package ``omnifold``,
        which takes more iterations.
    largest_ratio
        Ratios of a step are cut at this and at its inverse; None for no cut. What is cut is counted.
    """

    iterations: pydantic.PositiveInt = 5
    start: Literal["anew", "previous"] = "anew"
    ensemble: pydantic.PositiveInt = 1
    normalisation: Literal["shape", "rate"] = "shape"
    inefficiency: Literal["divide", "keep"] = "divide"
    largest_ratio: float | None = pydantic.Field(100.0, gt=1)


@dataclass(frozen=True)
class SimulatedEvents(Generic[X]):
    """E simulated events at two levels.

    Attributes
    ----------
    detector, particle
        What is read of the events that exist at detector level, and of those that exist at particle level;
        in the order of the events.
    detected, generated
        Which of the E events exist at detector level and at particle level. An event that is not generated
        is a fake, one that is not detected an inefficiency.
    weights
        Of the events.
    """

    detector: X
    particle: X
    detected: Mask
    generated: Mask
    weights: Floats

    def __post_init__(self) -> None:
        if not (self.detected & self.generated).any():
            raise DataError(
                "no simulated event exists at both levels, so that nothing is known of the detector: "
                "acceptance or efficiency is zero; look at the selections of both levels and at what says "
                "which rows are of one event"
            )


@dataclass(frozen=True)
class Iteration:
    """The result of an iteration.

    Attributes
    ----------
    number
        From 1.
    pull, push
        Factors of the weights of the E events after step 1 and after step 2; 1 where an event does not exist
        at particle level.
    facts
        What is told of each step, by its level; JSON-ready.
    """

    number: int
    pull: Floats
    push: Floats
    facts: Mapping[str, Any] = field(default_factory=dict)


def check_start(estimators: Sequence[RatioEstimator[Any]], config: OmniFoldConfig) -> None:
    """Raise `IncompatibleError` where trainings are to go on from those before and an estimator cannot."""
    cold = [type(one).__name__.lower() for one in estimators if not one.warm]
    if config.start == "previous" and cold:
        raise IncompatibleError(
            f"omnifold.start=previous: the estimator {cold[0]} cannot go on from an earlier training; set "
            "start=anew, or take the estimator perceptron or network"
        )


def scaled_weights(simulation: SimulatedEvents[X], data_weights: Floats, config: OmniFoldConfig) -> Floats:
    """Return the weights of simulated events before the first iteration; see
    `OmniFoldConfig.normalisation`."""
    expected = float(simulation.weights[simulation.detected].sum())
    for what, total in (("data", float(data_weights.sum())), ("simulation at detector level", expected)):
        if total <= 0:
            raise DataError(f"the weights of the {what} add up to {total:g}; nothing can be unfolded")
    return simulation.weights * (data_weights.sum() / expected if config.normalisation == "shape" else 1.0)


def omnifold(
    estimators: tuple[RatioEstimator[X], RatioEstimator[X]],
    data: X,
    data_weights: Floats,
    simulation: SimulatedEvents[X],
    config: OmniFoldConfig,
    *,
    seed: int,
    done: Sequence[Iteration] = (),
) -> Iterator[Iteration]:
    """Unfold, and yield each iteration when it is finished.

    Parameters
    ----------
    estimators
        What learns the ratio of detector level and that of particle level.
    data, data_weights
        The rows of data at detector level. Background is subtracted by rows of negative weight.
    simulation
        The simulated events.
    config
        Options.
    seed
        Of all trainings.
    done
        Iterations of an earlier call that are not done again. With ``start: previous`` there are none: what
        the trainings would go on from is not kept.

    Raises
    ------
    IncompatibleError
        When trainings are to go on from those before, and an estimator cannot.
    DivergedError
        When a step gives a ratio that is no number; iterations that were yielded are not touched.
    """
    check_start(estimators, config)
    weights = scaled_weights(simulation, data_weights, config)
    if done and config.start == "previous":
        done = ()
    push = done[-1].push if done else np.ones(len(weights))
    joined = estimators[0].join([data, simulation.detector])
    learned = simulation.generated & (simulation.detected if config.inefficiency == "divide" else True)
    of_generated = np.flatnonzero(learned[simulation.generated])
    learnable = estimators[1].take(simulation.particle, of_generated)
    step: _Step[X] = _Step(config, seed)
    for number in range(len(done) + 1, config.iterations + 1):
        before = (weights * push)[simulation.detected]
        ratio, detector_facts = step(
            "detector",
            number,
            estimators[0],
            joined,
            TwoWeights.stacked(data_weights, before),
            simulation.detector,
        )
        ratio *= data_weights.sum() / (
            before @ ratio
        )  # a classifier's ratio does not conserve the rate by itself
        pull = push.copy()
        pull[simulation.detected] *= ratio
        pair = TwoWeights((weights * pull)[learned], weights[learned])
        ratio, particle_facts = step("particle", number, estimators[1], learnable, pair, simulation.particle)
        ratio *= pair.numerator.sum() / (pair.denominator @ ratio[of_generated])
        push = np.ones(len(weights))
        push[simulation.generated] = ratio
        yield Iteration(number, pull, push, {"detector": detector_facts, "particle": particle_facts})


class _Step(Generic[X]):
    """One step: trainings of the ensemble, their mean, its limits."""

    def __init__(self, config: OmniFoldConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self.known: dict[str, list[Ratio[X]]] = {}

    def __call__(
        self, level: str, number: int, estimator: RatioEstimator[X], x: X, weights: TwoWeights, of: X
    ) -> tuple[Floats, dict[str, Any]]:
        """Return the ratio of rows `of`, learned from rows `x`, and what is told of the step."""
        before = self.known.get(level, [None] * self.config.ensemble)
        fitted = [
            estimator.fit(
                x, weights, seed=integer_seed(self.seed, f"omnifold.{level}", number, member), start=start
            )
            for member, start in enumerate(before)
        ]
        if self.config.start == "previous":
            self.known[level] = fitted
        logs = np.mean([ratio.log_ratio(of) for ratio in fitted], axis=0)
        bad = int((~np.isfinite(logs)).sum())
        if bad:
            raise DivergedError(
                f"iteration {number}, {level} level: {bad} of {len(logs)} ratios are no numbers; iterations "
                "before it are kept. Lower the learning rate, or look at the weights"
            )
        limit = np.log(self.config.largest_ratio) if self.config.largest_ratio else np.inf
        facts = {
            "trainings": [dict(ratio.facts) for ratio in fitted],
            "cut": int((np.abs(logs) > limit).sum()),
            "rows": len(logs),
        }
        return np.exp(np.clip(logs, -limit, limit)), facts
