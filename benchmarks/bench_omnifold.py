"""OmniFold on Gaussian toys with inefficiency and fakes, against package omnifold.

    python benchmarks/bench_omnifold.py --peer-python OMNIFOLD_ENV/bin/python

The peer's environment needs omnifold and tensorflow-cpu. Both sides have the package's network (64, 128, 64
with GELU), the batches of its public example (512), its default learning rate and number of epochs, no early
stopping, trainings that go on from those before, and lost events that keep their weight: one algorithm. They
take turns, an iteration each. hepfm has one thread, as in its workflows, where the second core has another
replica; the package has all threads that were asked for. hepfm with its own defaults is measured beside them.

Quality is the triangular discriminator of an observable to the true events of the data, and its mean.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import frame
import numpy as np
import numpy.typing as npt
import torch
from compare_networks import Worker

from hepfm.methods.omnifold import Iteration, OmniFoldConfig, SimulatedEvents, omnifold
from hepfm.methods.ratio.perceptron import Perceptron, PerceptronConfig
from hepfm.metrics.binned import triangular_discriminator

Floats = npt.NDArray[np.float64]
OBSERVABLES = 6
EDGES = np.linspace(-2.5, 4.5, 51)
BATCH, EPOCHS, ITERATIONS, RATE = 512, 50, 5, 1e-4
SIZES, TOY_SIZES = {100_000: 1, 20_000: 3}, {2000: 2}
"""Events on each side, and the number of trainings."""
SAME, DEFAULTS, PACKAGE = "hepfm, the package's options", "hepfm, its defaults", "omnifold"


@dataclass(frozen=True)
class Toy:
    """Events of data and simulation; all have both levels, masks say which of them exist.

    Attributes
    ----------
    truth
        Of the data at particle level, (T, F).
    data
        What is seen of them, (D, F).
    particle, detector
        The simulation at both levels, (E, F).
    generated, detected
        Which exist.
    """

    truth: npt.NDArray[np.float32]
    data: npt.NDArray[np.float32]
    particle: npt.NDArray[np.float32]
    detector: npt.NDArray[np.float32]
    generated: npt.NDArray[np.bool_]
    detected: npt.NDArray[np.bool_]

    @classmethod
    def drawn(cls, count: int) -> Toy:
        """Draw as many events on both sides."""
        rng = np.random.default_rng(1)

        def side(mean: float, width: float) -> tuple[Any, ...]:
            true = rng.normal(mean, width, (count, OBSERVABLES))
            seen = true + rng.normal(0, 0.5, true.shape)
            detected = rng.random(count) < 1 / (1 + np.exp(-1.5 - true[:, 0]))
            generated = (rng.random(count) < 0.95) | ~detected
            return true.astype(np.float32), seen.astype(np.float32), generated, detected

        true, seen, generated, detected = side(1.2, 0.9)
        return cls(true[generated], seen[detected], *side(1.0, 1.0))

    def simulation(self) -> SimulatedEvents[npt.NDArray[np.float32]]:
        """Return the simulation as hepfm takes it."""
        return SimulatedEvents(
            self.detector[self.detected],
            self.particle[self.generated],
            self.detected,
            self.generated,
            np.ones(len(self.detected)),
        )

    def quality(self, push: Floats) -> dict[str, list[float]]:
        """Return what is found of each observable with weights of the simulation."""
        weights = push[self.generated].astype(np.float64)
        found = self.particle[self.generated].astype(np.float64)
        return {
            "mean": [float(np.average(x, weights=weights)) for x in found.T],
            "discriminator": [
                triangular_discriminator(_shares(x, weights), _shares(true, None))
                for x, true in zip(found.T, self.truth.T, strict=True)
            ],
        }


def _shares(x: npt.NDArray[Any], weights: Floats | None) -> Floats:
    counts = np.histogram(np.clip(x, EDGES[0], EDGES[-1]), EDGES, weights=weights)[0]
    return np.asarray(counts / counts.sum(), np.float64)


@dataclass
class Run:
    """Times of the iterations of one training, and its weights."""

    seconds: list[frame.Timing] = field(default_factory=list)
    push: Floats = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class Options:
    """What all sides have in common."""

    epochs: int = EPOCHS
    iterations: int = ITERATIONS

    def estimator(self, title: str) -> Perceptron:
        """Return the estimator of a case of hepfm."""
        options: dict[str, Any] = {"epochs": self.epochs}
        if title == SAME:
            options |= {"patience": self.epochs, "batch_size": BATCH, "learning_rate": RATE}
        return Perceptron(PerceptronConfig.model_validate({"observables": ("x",), **options}))

    def ours(self, toy: Toy, title: str, seed: int, run: Run) -> Iterator[None]:
        """Unfold with hepfm, an iteration at a time."""
        options: dict[str, Any] = {"iterations": self.iterations}
        if title == SAME:
            options |= {"start": "previous", "inefficiency": "keep", "largest_ratio": None}
        estimator, ones = self.estimator(title), np.ones(len(toy.data))
        config = OmniFoldConfig.model_validate(options)
        steps = omnifold((estimator, estimator), toy.data, ones, toy.simulation(), config, seed=seed)
        for _ in range(self.iterations):
            one, timing = timed(lambda: next(steps))
            run.seconds.append(timing)
            run.push = one.push
            yield

    def package(self, worker: Worker, events: str, seed: int, run: Run) -> Iterator[None]:
        """Unfold with package omnifold, an iteration at a time."""
        push = f"{events}.push.npy"
        request = {"events": events, "push": push, "seed": seed, "iterations": self.iterations}
        request |= {"batch_size": BATCH, "epochs": self.epochs, "learning_rate": RATE}
        for _ in range(self.iterations):
            run.seconds.append(frame.Timing(**worker.ask(**request)))
            yield
        run.push = np.load(push)


def timed(work: Callable[[], Iteration]) -> tuple[Iteration, frame.Timing]:
    """Return an iteration and its time."""
    done: list[Iteration] = []
    timing = frame.timed(lambda: done.append(work()))
    return done[0], timing


def compare(
    toy: Toy, options: Options, trainings: int, worker: Worker | None, folder: str
) -> dict[str, list[Run]]:
    """Let all cases take turns, an iteration each, for every training."""
    events = str(Path(folder) / f"{len(toy.detected)}.npz")
    np.savez(events, **{name: getattr(toy, name) for name in toy.__dataclass_fields__})
    runs: dict[str, list[Run]] = {}
    for seed in range(1, trainings + 1):
        new = {title: Run() for title in (SAME, DEFAULTS, *([PACKAGE] if worker else []))}
        turns: dict[str, Iterator[None]] = {
            title: options.package(worker, events, seed, run)
            if worker and title == PACKAGE
            else options.ours(toy, title, seed, run)
            for title, run in new.items()
        }
        for _ in zip_longest(*turns.values()):  # an iteration of each, until the last has ended
            pass
        for title, run in new.items():
            runs.setdefault(title, []).append(run)
    return runs


def describe(toy: Toy, runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Return times, their ratios and what was found."""
    cases = []
    for title, trainings in runs.items():
        found = [toy.quality(run.push) for run in trainings]
        means = np.array([one["mean"] for one in found])
        cases.append(
            {
                "title": title,
                "seconds": frame.spread([sum(one.wall for one in run.seconds) for run in trainings]),
                "cpu_seconds": frame.spread([sum(one.cpu for one in run.seconds) for run in trainings]),
                "iteration_seconds": frame.spread([one.wall for run in trainings for one in run.seconds]),
                "discriminator_e3": frame.spread(
                    [1e3 * statistics.mean(one["discriminator"]) for one in found]
                ),
                "mean": means.mean(axis=0).round(4).tolist(),
                "scatter": means.std(axis=0, ddof=min(1, len(means) - 1)).round(4).tolist(),
            }
        )
    before = toy.quality(np.ones(len(toy.detected)))
    return {
        "events": len(toy.detected),
        "trainings": len(runs[SAME]),
        "detected": {"data": len(toy.data), "simulation": int(toy.detected.sum())},
        "truth": toy.truth.astype(np.float64).mean(axis=0).round(4).tolist(),
        "before": {
            "mean": np.round(before["mean"], 4).tolist(),
            "discriminator_e3": round(1e3 * statistics.mean(before["discriminator"]), 2),
        },
        "cases": cases,
        "ratio_of_medians": _ratios(runs),
    }


def _ratios(runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Return how many times as long the package takes, by wall time and by processor time."""
    if PACKAGE not in runs:
        return {}
    ratios = {}
    for what in ("wall", "cpu"):
        samples = {
            title: [sum(getattr(one, what) for one in run.seconds) for run in trainings]
            for title, trainings in (
                (PACKAGE, runs[PACKAGE]),
                *((t, r) for t, r in runs.items() if t != PACKAGE),
            )
        }
        ratios[what] = frame.ratio_of_medians(samples)
    return ratios


def bound(rows: int, repeats: int) -> dict[str, float]:
    """Return the time of a step of training, and that of its matrix products alone."""
    estimator = Options().estimator(SAME)
    x, pair = torch.randn(rows * BATCH, OBSERVABLES), torch.rand(rows * BATCH, 2)
    network = estimator._network(OBSERVABLES, 1)
    sizes = [
        (layer.in_features, layer.out_features) for layer in network if isinstance(layer, torch.nn.Linear)
    ]
    values = [(torch.randn(BATCH, i), torch.randn(BATCH, o), torch.randn(o, i)) for i, o in sizes]

    def products() -> None:
        for _ in range(rows):
            for number, (before, after, weight) in enumerate(values):
                before @ weight.t()
                after.t() @ before
                if number:
                    after @ weight

    few = estimator.config.model_copy(update={"epochs": 1})
    train: Callable[[], Any] = lambda: Perceptron(few)._train(network, (x, pair), (x[:1], pair[:1]), 1)  # noqa: E731
    timings = frame.take_turns(
        {"step": lambda _: frame.timed(train).cpu, "products": lambda _: frame.timed(products).cpu},
        repeats=repeats,
        warmup=1,
    )
    step, alone = (1e3 * statistics.median(timings[name]) / rows for name in ("step", "products"))
    return {"step_ms": round(step, 4), "products_ms": round(alone, 4), "share": round(alone / step, 3)}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Unfold with both."""
    torch.set_num_threads(1)
    common = Options(2, 2) if options.toy else Options()
    peer: Any = frame.NO_PEER
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        worker, sizes = None, {}
        if options.peer_python:
            script = str(Path(__file__).with_name("omnifold_package.py"))
            worker = stack.enter_context(Worker(script, options.peer_python, options.threads))
            peer = worker.ask(versions=True)
        for count, trainings in (TOY_SIZES if options.toy else SIZES).items():
            toy = Toy.drawn(count)
            sizes[f"{count:,}"] = describe(toy, compare(toy, common, trainings, worker, folder))
    return {
        "what": f"OmniFold, {common.iterations} iterations of {common.epochs} epochs, {OBSERVABLES} "
        f"observables, layers of 64, 128 and 64, batches of {BATCH}, learning rate {RATE:g}, "
        "no early stopping",
        "sizes": sizes,
        "bound": bound(2 if options.toy else 200, options.repeats),
        "hepfm_threads": 1,
        "peer": peer,
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    frame.main(__doc__, "omnifold", measure, arguments=arguments)


if __name__ == "__main__":
    main()
