"""OmniFold on numbers whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hepfm.core.errors import DataError, DivergedError, IncompatibleError
from hepfm.methods.omnifold import OmniFoldConfig, SimulatedEvents, omnifold, scaled_weights
from hepfm.methods.ratio.base import Ratio, TwoWeights
from hepfm.methods.ratio.trees import Trees, TreesConfig

EVENTS = 20_000


def config(**options: object) -> OmniFoldConfig:
    return OmniFoldConfig.model_validate({"iterations": 4, **options})


def trees() -> Trees:
    return Trees(TreesConfig.model_validate({"observables": ("x",), "max_iter": 60, "max_leaf_nodes": 8}))


def events(mean: float, width: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.normal(mean, width, EVENTS)
    seen = true + rng.normal(0, 0.5, EVENTS)
    detected = rng.random(EVENTS) < 1 / (1 + np.exp(-true - 1))
    return true.astype(np.float32), seen.astype(np.float32), detected, rng.random(EVENTS) < 0.95


@pytest.fixture(scope="module")
def problem() -> tuple[np.ndarray, SimulatedEvents[np.ndarray], np.ndarray]:
    _, seen, found, _ = events(0.2, 0.9, 2)
    true, simulated, detected, generated = events(0.0, 1.0, 1)
    simulation = SimulatedEvents(
        simulated[detected, None], true[generated, None], detected, generated, np.ones(EVENTS)
    )
    return seen[found, None], simulation, true


def moments(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    mean = np.average(values, weights=weights)
    return float(mean), float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))


def test_mean_and_width_of_the_truth_are_found(problem) -> None:
    data, simulation, true = problem
    ones = np.ones(len(data))
    done = list(omnifold((trees(), trees()), data, ones, simulation, config(), seed=1))
    weights = scaled_weights(simulation, ones, config()) * done[-1].push
    kept = simulation.generated
    mean, width = moments(true[kept], weights[kept])
    assert [one.number for one in done] == [1, 2, 3, 4]
    assert mean == pytest.approx(0.2, abs=0.04)
    assert width == pytest.approx(0.9, abs=0.04)
    # What was lost is inferred: all events that there were, not those that were seen.
    assert weights[kept].sum() == pytest.approx(0.95 * EVENTS, rel=0.03)
    assert (done[-1].push[~kept] == 1).all()


def test_sums_are_those_that_are_to_be_reproduced(problem) -> None:
    data, simulation, _ = problem
    ones = np.full(len(data), 2.0)
    (one,) = omnifold((trees(), trees()), data, ones, simulation, config(iterations=1), seed=1)
    weights = scaled_weights(simulation, ones, config())
    assert (weights * one.pull)[simulation.detected].sum() == pytest.approx(ones.sum())
    both = simulation.detected & simulation.generated
    assert (weights * one.push)[both].sum() == pytest.approx((weights * one.pull)[both].sum())


def test_keeping_lost_events_takes_more_iterations(problem) -> None:
    data, simulation, true = problem
    ones = np.ones(len(data))
    found = {}
    for way in ("divide", "keep"):
        (one,) = omnifold(
            (trees(), trees()), data, ones, simulation, config(iterations=1, inefficiency=way), seed=1
        )
        found[way] = moments(true, one.push * simulation.weights)[0]
    assert found["keep"] < found["divide"] < 0.25


def test_equal_samples_are_left_alone(problem) -> None:
    _, simulation, true = problem
    _, seen, found, _ = events(0.0, 1.0, 3)
    data = seen[found, None]
    *_, last = omnifold((trees(), trees()), data, np.ones(len(data)), simulation, config(), seed=1)
    assert moments(true, last.push)[0] == pytest.approx(0.0, abs=0.04)
    assert last.push.std() < 0.1


def test_going_on_gives_the_same(problem) -> None:
    data, simulation, _ = problem
    ones = np.ones(len(data))
    arguments = ((trees(), trees()), data, ones, simulation)
    whole = list(omnifold(*arguments, config(iterations=3), seed=1))
    rest = list(omnifold(*arguments, config(iterations=3), seed=1, done=whole[:2]))
    assert [one.number for one in rest] == [3]
    np.testing.assert_array_equal(rest[0].push, whole[2].push)


class Constant(Ratio[np.ndarray]):
    """The same ratio everywhere."""

    def __init__(self, value: float) -> None:
        self.value, self.facts = value, {"validation_loss": 0.0}

    def log_ratio(self, x: np.ndarray) -> np.ndarray:
        return np.full(len(x), self.value)


class Diverging(Trees):
    """Gives no number from its second training on; it notes with what it was to begin."""

    def __init__(self) -> None:
        super().__init__(TreesConfig.model_validate({"observables": ("x",)}))
        self.calls = 0
        self.starts: list[object] = []

    def fit(self, x, weights: TwoWeights, *, seed: int, start=None):
        self.calls += 1
        self.starts.append(start)
        return Constant(0.0 if self.calls < 2 else np.nan)


def test_divergence_names_iteration_and_level(problem) -> None:
    data, simulation, _ = problem
    steps = omnifold((Diverging(), trees()), data, np.ones(len(data)), simulation, config(), seed=1)
    assert next(steps).number == 1
    with pytest.raises(DivergedError, match=r"iteration 2, detector level: \d+ of \d+ ratios"):
        next(steps)


@pytest.mark.parametrize(("start", "known"), [("anew", False), ("previous", True)])
def test_warm_starts_are_a_choice(problem, start: str, known: bool) -> None:
    data, simulation, _ = problem

    class Noting(Diverging):
        warm = True

        def fit(self, x, weights, *, seed, start=None):
            self.starts.append(start)
            return Constant(0.0)

    first, second = Noting(), Noting()
    list(
        omnifold(
            (first, second), data, np.ones(len(data)), simulation, config(iterations=2, start=start), seed=1
        )
    )
    for one in (first, second):
        assert one.starts[0] is None
        assert (one.starts[1] is not None) == known


def test_cut_ratios_are_counted(problem) -> None:
    data, simulation, _ = problem

    class Extreme(Diverging):
        def fit(self, x, weights, *, seed, start=None):
            return Constant(10.0)

    (one,) = omnifold(
        (Extreme(), Extreme()),
        data,
        np.ones(len(data)),
        simulation,
        config(iterations=1, largest_ratio=5.0),
        seed=1,
    )
    assert one.facts["detector"]["cut"] == int(simulation.detected.sum())


def test_no_event_at_both_levels(problem) -> None:
    _, simulation, _ = problem
    with pytest.raises(DataError, match="acceptance or efficiency is zero"):
        replace(simulation, detected=~simulation.generated)


def test_weights_that_add_up_to_nothing(problem) -> None:
    data, simulation, _ = problem
    with pytest.raises(DataError, match="data add up to 0"):
        scaled_weights(simulation, np.zeros(len(data)), config())
    with pytest.raises(DataError, match="simulation at detector level"):
        scaled_weights(replace(simulation, weights=-simulation.weights), np.ones(len(data)), config())


def test_estimators_that_cannot_go_on_are_not_asked_to(problem) -> None:
    data, simulation, _ = problem
    steps = omnifold(
        (trees(), trees()), data, np.ones(len(data)), simulation, config(start="previous"), seed=1
    )
    with pytest.raises(IncompatibleError, match="estimator trees cannot go on"):
        next(steps)
