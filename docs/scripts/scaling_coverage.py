"""Write docs/data/scaling_coverage.csv: how often the intervals of a scaling law cover, and how wide they are.

python docs/scripts/scaling_coverage.py [EXPERIMENTS]     some minutes on one core
"""

from __future__ import annotations

import csv
import sys
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from hepfm.metrics.power_law import PowerLaw
from hepfm.metrics.scaling_law import LossCell, fit_scaling_law

OUTPUT = Path(__file__).parents[1] / "data" / "scaling_coverage.csv"
LAW = PowerLaw(0.8, (0.15, 0.4), (0.4, 0.3), (1e4, 5e3))
SIZES, ROWS = (3e3, 1e4, 3e4, 1e5), (1e3, 3e3, 1e4, 3e4)
RESAMPLES = 100


@dataclass(frozen=True)
class Setting:
    """What is simulated: sizes and data sizes, trainings a cell, their scatter, that of cells, the Huber width."""

    sizes: int
    rows: int
    trainings: int
    spread: float
    misfit: float
    huber: float


SETTINGS = (
    Setting(4, 4, 3, 0.005, 0.0, 1e-3),
    Setting(4, 4, 3, 0.005, 0.0, 1e-2),
    Setting(4, 4, 3, 0.005, 0.005, 1e-2),
    Setting(3, 4, 3, 0.005, 0.0, 1e-2),
    Setting(3, 4, 3, 0.005, 0.005, 1e-2),
    Setting(3, 4, 2, 0.01, 0.0, 1e-2),
)
NUMBERS = ("E", "A", "B", "alpha", "beta", "prediction")


def experiment(setting: Setting, seed: int) -> tuple[list[bool], float]:
    """Return which intervals of one simulated grid cover, and the relative width of that of the prediction.

    Three times the parameters and twice the rows of the largest cell are predicted.
    """
    random = np.random.default_rng(seed)
    sizes, rows = SIZES[: setting.sizes], ROWS[: setting.rows]
    points = [*((size, count) for size in sizes for count in rows), (3 * sizes[-1], 2 * rows[-1])]
    scatter = np.exp(setting.misfit * random.normal(size=(len(points), 1)))
    noise = np.exp(setting.spread * random.normal(size=(len(points), setting.trainings)))
    losses = LAW.loss(np.array(points))[:, None] * scatter * noise
    cells = [LossCell(point, tuple(map(float, row))) for point, row in zip(points, losses, strict=True)]
    fit = fit_scaling_law(cells[:-1], huber=setting.huber, resamples=RESAMPLES, seed=seed)
    fitted = [fit.offset, *map(fit.amplitude, (0, 1)), *map(fit.exponent, (0, 1))]
    truth = (LAW.offset, *LAW.amplitudes, *LAW.exponents)
    predicted = fit.predict(points[-1], trainings=setting.trainings)
    inside = [one.low <= true <= one.high for one, true in zip(fitted, truth, strict=True)]
    return [*inside, bool(predicted.agrees(cells[-1].losses))], (
        predicted.high - predicted.low
    ) / predicted.value


def main(experiments: int) -> None:
    """Simulate every setting and write the table."""
    names = [field.name for field in fields(Setting)]
    with OUTPUT.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        covered = [f"covered_{name}" for name in NUMBERS]
        writer.writerow([*names, "experiments", *covered, "width_prediction"])
        for setting in SETTINGS:
            found = [experiment(setting, seed) for seed in range(experiments)]
            shares = np.mean([inside for inside, _ in found], axis=0)
            width = np.mean([width for _, width in found])
            row = [f"{share:.3f}" for share in shares]
            writer.writerow([*astuple(setting), experiments, *row, f"{width:.4f}"])
            file.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
