"""CATHODE from data to scores on toy events: density of the sidebands, samples, a classifier for each fold.

Events have a falling mass spectrum and four features, of which one follows the mass and one has a width that
does; the signal peaks in all. Options are those of CATHODE's public code (2109.00546), with all 100 epochs of
the classifier: ``hepfm anomaly dijet`` stops one that does not improve for ten. One thread, so that processor
seconds are wall seconds on an idle core. The significance improvement is measured on other events.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import frame
import numpy as np
import numpy.typing as npt
import torch

from hepfm.core.config import resolve_component
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data.table import Table
from hepfm.methods.anomaly import ANOMALY_METHODS
from hepfm.methods.anomaly.base import Scorer, SearchProblem
from hepfm.methods.anomaly.cathode import Cathode
from hepfm.methods.anomaly.classifier import PUBLISHED
from hepfm.methods.anomaly.events import Events
from hepfm.methods.anomaly.regions import Regions
from hepfm.methods.observables import Values
from hepfm.methods.ratio.base import TwoWeights
from hepfm.methods.samples import SampleConfig, WeightedSample
from hepfm.metrics.improvement_curve import improvement_curve

MASS = "event_mass"
FEATURES = tuple(f"event_x{number}" for number in range(4))
SCHEMA = Schema(tuple(Field(name, Level.EVENT, Kind.CONTINUOUS) for name in (MASS, *FEATURES)), Level.EVENT)
REGIONS = Regions(bins=4, field=MASS, signal=(3300, 3700), sidebands=((2300, 3300), (3700, 5000)))
FALL, PEAK = 700.0, 1.5
"""Scale of the falling spectrum in GeV, and where the signal is in each feature."""
SIGNAL = 0.001
"""Part of the data; about eight times as much of the signal region."""
EVENTS, TOY_EVENTS, FOLDS = 100_000, 600, 5
FEW: dict[str, Any] = {"density": {"transforms": 2, "epochs": 2}}


@dataclass
class Parts:
    """Times of the parts of a search."""

    density_and_samples: list[frame.Timing] = field(default_factory=list)
    classifiers: list[frame.Timing] = field(default_factory=list)


class Observed(Cathode):
    """CATHODE that notes what its parts take."""

    parts: Parts

    def prepare(self, problem: SearchProblem, x: Values, seed: int) -> Values:
        """Learn the density and draw samples."""
        return noted(self.parts.density_and_samples, lambda: super(Observed, self).prepare(problem, x, seed))

    def ratio(self, first: Values, second: Values, weights: TwoWeights, seed: int) -> Scorer[Values]:
        """Train a classifier."""
        train = super().ratio
        return noted(self.parts.classifiers, lambda: train(first, second, weights, seed))


def noted(times: list[frame.Timing], work: Callable[[], Any]) -> Any:
    """Return what a call returns, and note its time."""
    out: list[Any] = []
    times.append(frame.timed(lambda: out.append(work())))
    return out[0]


def events(background: int, signal: int, seed: int) -> tuple[Events, npt.NDArray[np.bool_]]:
    """Return events and which of them are signal."""
    rng = np.random.default_rng(seed)
    low, high = REGIONS.ends
    mass = low - FALL * np.log(1 - rng.uniform(0, 1 - np.exp((low - high) / FALL), background))
    x = rng.normal(0, 1, (background, len(FEATURES)))
    x[:, 0] += (mass - 3500) / 2000
    x[:, 1] *= 1 + np.abs(mass - 3500) / 5000
    mass = np.concatenate([mass, rng.normal(3500, 60, signal)])
    x = np.concatenate([x, rng.normal(PEAK, 0.3, (signal, len(FEATURES)))])
    columns = dict(zip(FEATURES, x.T, strict=True)) | {MASS: mass}
    table = Table.from_dict({name: values.astype(np.float32) for name, values in columns.items()}, SCHEMA)
    sample = WeightedSample.of(table, SampleConfig(store="toy"))
    return Events.of(sample, MASS), np.arange(len(mass)) >= background


def search(count: int, options: dict[str, Any]) -> dict[str, Any]:
    """Search in so many events and return times and what was found."""
    data, injected = events(round((1 - SIGNAL) * count), round(SIGNAL * count), 1)
    test, signal = events(count, count // 10, 2)
    spec = {"name": "cathode", **options}
    method = Observed(resolve_component(ANOMALY_METHODS, spec, where="benchmark").config)
    method.parts = Parts()
    problem = SearchProblem(data, test, REGIONS, FEATURES)
    whole: list[frame.Timing] = []
    scores = noted(whole, lambda: method.fit(problem, folds=FOLDS, seed=1))
    region, tested = REGIONS.inside(data.mass), REGIONS.inside(test.mass)
    curve = improvement_curve(
        scores.test.mean(axis=0)[tested], signal[tested], np.ones(int(tested.sum())), least=25
    )
    best = curve.best()
    return {
        "events": count,
        "region": int(region.sum()),
        "signal_in_region": int((region & injected).sum()),
        "seconds": round(whole[0].wall, 2),
        "cpu_seconds": round(whole[0].cpu, 2),
        "parts_cpu_seconds": {
            name: round(sum(one.cpu for one in times), 2) for name, times in vars(method.parts).items()
        },
        "best_improvement": 0.0 if best is None else round(float(best[0]), 2),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Search once: repetitions of minutes would tell little more."""
    torch.set_num_threads(1)
    epochs = 2 if options.toy else PUBLISHED["epochs"]
    chosen = {
        "estimator": {**PUBLISHED, "epochs": epochs, "patience": epochs},
        **(FEW if options.toy else {}),
    }
    return {
        "what": f"CATHODE, {len(FEATURES)} features, {FOLDS} folds, options of its public code, one thread",
        **search(TOY_EVENTS if options.toy else EVENTS, chosen),
        "peer": None,
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    frame.main(__doc__, "anomaly", measure, arguments=arguments)


if __name__ == "__main__":
    main()
