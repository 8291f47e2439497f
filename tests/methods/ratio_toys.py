"""Samples whose density ratio is known, for every estimator of one: observables, and jets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from builders import make_jets
from scipy.special import gammaln

from hepfm.core.config import merge, resolve_component
from hepfm.core.rng import numpy_generator
from hepfm.core.schema import Field, Level, Schema
from hepfm.data.row_source import RowSource
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.table import Table
from hepfm.methods.ratio import RATIO_ESTIMATORS
from hepfm.methods.ratio.base import Floats, RatioEstimator

GAUSSIAN = Schema((Field("signal", Level.OBJECT), Field("noise", Level.OBJECT)))
JETS = jet_schema(JETCLASS_CLASSES)
TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2, "dropout": 0.0}
SHIFT = 0.5
"""Means of the two Gaussian samples are plus and minus this."""
MORE, FEWER = 6.0, 4.0
"""Parameters of the two distributions of the number of constituents."""


@dataclass(frozen=True)
class Toy:
    """Rows of two samples and what is known of them.

    Attributes
    ----------
    spec
        Of the estimator, for a training of a second or two.
    precision
        Largest root mean square of (learned - true) ln ratio.
    kind
        Of rows: ``gaussian`` or ``jets``.
    rows
        Number in each sample.
    still
        Options with which a training changes nothing; None for an estimator that starts anew always.
    """

    spec: Mapping[str, Any]
    precision: float
    kind: str
    rows: int
    still: Mapping[str, Any] | None = field(default=None)

    def estimator(self, options: Mapping[str, Any] | None = None) -> RatioEstimator[Any]:
        """Return the estimator."""
        spec = merge(dict(self.spec), options or {})
        component = resolve_component(RATIO_ESTIMATORS, spec, where="test")
        estimator: RatioEstimator[Any] = component.cls(component.config)
        return estimator

    def sample(self, which: str, rows: int, *, seed: int) -> RowSource:
        """Return rows of the sample ``numerator`` or ``denominator``."""
        rng = numpy_generator(seed, f"test.{which}")
        up = which == "numerator"
        if self.kind == "gaussian":
            columns = {
                "signal": rng.normal(SHIFT if up else -SHIFT, 1, rows),
                "noise": rng.normal(0, 1, rows),
            }
            return Table.from_dict({k: v.astype(np.float32) for k, v in columns.items()}, GAUSSIAN)
        counts = rng.poisson(MORE if up else FEWER, 2 * rows)
        jets = make_jets(rows, seed=seed, lengths=counts[counts > 0][:rows])
        return Table.from_dict(jets, JETS)

    def log_ratio(self, source: RowSource) -> Floats:
        """Return the true ln of numerator over denominator of all rows."""
        if self.kind == "gaussian":
            return 2 * SHIFT * np.asarray(source.read(["signal"])["signal"], np.float64)
        counts = source.lengths("constituent")
        return _log_truncated(counts, MORE) - _log_truncated(counts, FEWER)


def _log_truncated(counts: npt.NDArray[np.int64], mean: float) -> Floats:
    """Return ln of Poisson's probabilities of numbers above 0."""
    return np.asarray(counts * np.log(mean) - gammaln(counts + 1) - np.log(np.expm1(mean)), np.float64)


OBSERVABLES = ["signal", "noise"]
TOYS = {
    "perceptron": Toy(
        {
            "name": "perceptron",
            "observables": OBSERVABLES,
            "hidden": [32],
            "epochs": 10,
            "batch_size": 128,
            "learning_rate": 5e-3,
        },
        precision=0.15,
        kind="gaussian",
        rows=3000,
        still={"learning_rate": 1e-12},
    ),
    "trees": Toy(
        {"name": "trees", "observables": OBSERVABLES, "max_leaf_nodes": 6, "learning_rate": 0.2},
        precision=0.25,
        kind="gaussian",
        rows=5000,
    ),
    "network": Toy(
        {
            "name": "network",
            "backbone": TINY,
            "features": "kin",
            "patience": 3,
            "train": {
                "steps": 60,
                "batch_size": 96,
                "validate_every": 20,
                "optimizer": {"name": "adamw", "lr": 1e-2},
                "device": "cpu",
            },
        },
        precision=0.35,
        kind="jets",
        rows=1200,
        still={"train": {"optimizer": {"name": "adamw", "lr": 1e-12, "weight_decay": 0.0}}},
    ),
}
"""By the name of the estimator."""
