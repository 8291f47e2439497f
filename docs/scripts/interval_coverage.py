"""Simulate how often intervals cover the truth, and write ``docs/data/interval_coverage.csv``.

python docs/scripts/interval_coverage.py    # two minutes on one core

Intervals of a mean over trainings are tried on samples like those of trainings: normal, skewed like areas that
press against one, and with trainings that fail. Intervals over test rows are tried on Gaussian scores, whose ROC
curve is known. ``width`` is the median width over that of Student's t on the same samples, or for test rows over
that of the interval in use.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.special import gammaln
from scipy.stats import norm
from scipy.stats import t as student

from hepfm.metrics.accuracy import accuracy
from hepfm.metrics.auc import binary_auc, binary_auc_statistic
from hepfm.metrics.intervals import clopper_pearson
from hepfm.metrics.mean_interval import NAME, mean_interval
from hepfm.metrics.paired import paired_bootstrap
from hepfm.metrics.predictions import FloatArray, Predictions
from hepfm.metrics.rejection import PairScores, rejection

OUTPUT = Path(__file__).parents[1] / "data" / "interval_coverage.csv"
LEVELS = (0.6827, 0.95)
COUNTS = (3, 4, 5, 7, 10)
MANY, FEW, ROWS = 2500, 500, 240
"""Samples for intervals in closed form, for bootstraps, and for intervals over test rows."""
RESAMPLES = 100

Ends = tuple[FloatArray, FloatArray]
Sampler = Callable[[np.random.Generator, tuple[int, int]], FloatArray]


# -- samples of trainings: what is drawn, and its true mean


def failing(depth: float) -> Sampler:
    """Return normal trainings of which one in five, by chance, lies lower by `depth` standard deviations."""
    return lambda rng, shape: rng.normal(size=shape) - depth * (rng.random(shape) < 0.2)


SAMPLES: dict[str, tuple[Sampler, float]] = {
    "normal": (lambda rng, shape: rng.normal(size=shape), 0.0),
    "skewed (reflected lognormal, sigma 0.5)": (
        lambda rng, shape: -np.exp(0.5 * rng.normal(size=shape)),
        -float(np.exp(0.125)),
    ),
    "strongly skewed (reflected lognormal, sigma 1)": (
        lambda rng, shape: -np.exp(rng.normal(size=shape)),
        -float(np.exp(0.5)),
    ),
    "difference of two strongly skewed": (
        lambda rng, shape: np.exp(rng.normal(size=shape)) - np.exp(rng.normal(size=shape)),
        0.0,
    ),
    "one in five fails by 5 sigma": (failing(5.0), -1.0),
    "one in five fails by 10 sigma": (failing(10.0), -2.0),
}


# -- intervals of a mean


def student_t(values: FloatArray, level: float) -> Ends:
    """Return Student's interval of every row."""
    count, mean = values.shape[1], values.mean(axis=1)
    half = student.ppf((1 + level) / 2, count - 1) * values.std(axis=1, ddof=1) / np.sqrt(count)
    return mean - half, mean + half


def johnson(values: FloatArray, level: float) -> Ends:
    """Return Johnson's interval: Student's, moved by the third moment (J. Am. Stat. Assoc. 73 (1978) 536)."""
    count, variance = values.shape[1], values.var(axis=1, ddof=1)
    third = ((values - values.mean(axis=1, keepdims=True)) ** 3).sum(axis=1) * count
    third /= (count - 1) * (count - 2)
    low, high = student_t(values, level)
    move = third / (6 * count * variance)
    return low + move, high + move


def sign_flip(values: FloatArray, level: float) -> Ends:
    """Return the exact test by signs turned over, inverted: order statistics of the means of all subsets."""
    count = values.shape[1]
    subsets = np.array(list(itertools.product([0, 1], repeat=count))[1:], float)
    means = np.sort(values @ subsets.T / subsets.sum(axis=1), axis=1)
    away = int(np.floor((1 - level) / 2 * (len(subsets) + 1) + 1e-9))
    if away < 1:  # five values have 32 sign patterns: p is at least 1/16, above 0.05
        return np.full(len(values), -np.inf), np.full(len(values), np.inf)
    return means[:, away - 1], means[:, -away]


def resamples(count: int) -> tuple[FloatArray, FloatArray]:
    """Return how often each value is drawn, and the probability: all resamples up to 7 values, else 1,000."""
    if count > 7:
        rng = np.random.default_rng(count)
        drawn = np.array([np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(1000)])
        return drawn.astype(float), np.full(1000, 1e-3)
    kinds = itertools.combinations_with_replacement(range(count), count)
    drawn = np.array([np.bincount(kind, minlength=count) for kind in kinds], float)
    logs = gammaln(count + 1) - gammaln(drawn + 1).sum(axis=1) - count * np.log(count)
    return drawn, np.exp(logs)


def quantile(values: FloatArray, weights: FloatArray, share: float) -> float:
    """Return the weighted quantile without interpolation."""
    order = np.argsort(values)
    place = np.searchsorted(np.cumsum(weights[order]), share - 1e-12)
    return float(values[order][min(int(place), len(values) - 1)])


def bootstrap_t(values: FloatArray, level: float) -> Ends:
    """Return the studentised bootstrap; resamples of one value only have an infinite pull."""
    drawn, weights = resamples(values.shape[1])
    count, tail = values.shape[1], (1 - level) / 2
    found = []
    for row in values:
        away = row - row.mean()
        means = drawn @ away / count
        variances = np.maximum(drawn @ away**2 / count - means**2, 0) / (count - 1)
        errors = np.where(variances > 1e-18 * row.var(), np.sqrt(variances), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            pulls = np.where(errors > 0, means / errors, np.sign(means) * np.inf)
        error = row.std(ddof=1) / np.sqrt(count)
        upper, lower = -quantile(-pulls, weights, tail), quantile(pulls, weights, tail)
        found.append((row.mean() - upper * error, row.mean() - lower * error))
    low, high = np.array(found).T
    return low, high


def bca(values: FloatArray, level: float) -> Ends:
    """Return the bias-corrected and accelerated bootstrap."""
    drawn, weights = resamples(values.shape[1])
    found = []
    for row in values:
        means = drawn @ row / len(row)
        equal = np.abs(means - row.mean()) < 1e-12
        bias = norm.ppf(weights[(means < row.mean()) & ~equal].sum() + weights[equal].sum() / 2)
        away = row - row.mean()
        speed = (away**3).sum() / (6 * (away**2).sum() ** 1.5)
        z = bias + norm.ppf([(1 - level) / 2, (1 + level) / 2])
        shares = norm.cdf(bias + z / (1 - speed * z))
        found.append([quantile(means, weights, share) for share in shares])
    low, high = np.array(found).T
    return low, high


def in_use(values: FloatArray, level: float) -> Ends:
    """Return the interval of the package."""
    low, high = np.array([mean_interval(row, level=level) for row in values]).T
    return low, high


METHODS: dict[str, tuple[Callable[[FloatArray, float], Ends], int]] = {
    NAME: (in_use, MANY),
    "student t": (student_t, MANY),
    "johnson t": (johnson, MANY),
    "sign flip": (sign_flip, MANY),
    "bootstrap t": (bootstrap_t, FEW),
    "bca bootstrap": (bca, FEW),
}


def of_means() -> Iterator[tuple[str, str, int, float, float, float]]:
    """Yield method, sample, number of trainings, level, coverage and width."""
    for (name, (sample, truth)), count in itertools.product(SAMPLES.items(), COUNTS):
        values = sample(np.random.default_rng([count, len(name)]), (MANY, count))
        for (method, (interval, number)), level in itertools.product(METHODS.items(), LEVELS):
            low, high = interval(values[:number], level)
            base = np.subtract(*student_t(values[:number], level)[::-1])
            width = np.median(high - low) / np.median(base)
            yield method, name, count, level, float(((low <= truth) & (truth <= high)).mean()), float(width)


# -- intervals over test rows

SEPARATION = 1.5
"""Distance of the two classes' scores in standard deviations."""


def gaussian(rng: np.random.Generator, n: int) -> tuple[Predictions, Predictions]:
    """Return two models' predictions of n rows; half of their noise is common to both."""
    labels = np.repeat([1, 0], n // 2)
    common = rng.normal(size=n)
    made = []
    for _ in range(2):
        score = SEPARATION * labels + np.sqrt(0.5) * (common + rng.normal(size=n))
        p = 1 / (1 + np.exp(-SEPARATION * (score - SEPARATION / 2)))
        made.append(Predictions(labels, np.stack([1 - p, p], axis=1), ("background", "signal")))
    return made[0], made[1]


def fixed_threshold(predictions: Predictions, efficiency: float) -> tuple[float, float]:
    """Return Clopper-Pearson at the threshold of the sample, as quoted in many papers."""
    scores = PairScores(predictions, signal="signal", background="background")
    point = scores.working_point(efficiency, predictions.row_weights)
    low, high = clopper_pearson(point.passed, point.total)
    return 1 / high, 1 / low


def over_rows(n: int = 4000) -> Iterator[tuple[str, str, int, float, float, float]]:
    """Yield coverage of the intervals over test rows."""
    area, right = float(norm.cdf(SEPARATION / np.sqrt(2))), float(norm.cdf(SEPARATION / 2))
    sides = {"signal": "signal", "background": "background"}
    found: dict[tuple[str, str, float], list[tuple[bool, float]]] = {}

    def note(key: tuple[str, str, float], low: float | None, high: float | None, truth: float) -> None:
        assert low is not None
        assert high is not None
        found.setdefault(key, []).append((low <= truth <= high, high - low))

    for experiment in range(ROWS):
        ours, theirs = gaussian(np.random.default_rng([7, experiment]), n)
        for efficiency in (0.5, 0.3):
            truth = 1 / float(norm.cdf(norm.ppf(efficiency) - SEPARATION))
            one = rejection(ours, **sides, efficiency=efficiency, resamples=RESAMPLES, seed=experiment)
            name = f"rejection at signal efficiency {efficiency}"
            note(("bootstrap, moving threshold", name, LEVELS[0]), one.low, one.high, truth)
            note(
                ("clopper-pearson, fixed threshold", name, LEVELS[0]),
                *fixed_threshold(ours, efficiency),
                truth,
            )
        one = binary_auc(ours, **sides, resamples=RESAMPLES, seed=experiment)
        note(("bootstrap", "area under the ROC curve", LEVELS[0]), one.low, one.high, area)
        one = accuracy(ours, resamples=RESAMPLES, seed=experiment)
        note(("bootstrap", "accuracy", LEVELS[0]), one.low, one.high, right)
        statistics = [binary_auc_statistic(each, **sides) for each in (ours, theirs)]
        one = paired_bootstrap(statistics[:1], statistics[1:], np.ones(n), seed=experiment)
        note(("paired bootstrap", "difference of two areas", LEVELS[1]), one.low, one.high, 0.0)
    for (method, name, level), each in found.items():
        covered, widths = np.array(each, float).T
        base = [width for other, held in found.items() if other[1] == name for _, width in held][:ROWS]
        yield method, name, n, level, float(covered.mean()), float(np.median(widths) / np.median(base))


def main() -> None:
    """Write the table."""
    OUTPUT.parent.mkdir(exist_ok=True)
    with OUTPUT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("interval", "data", "n", "nominal", "coverage", "width"))
        for method, name, count, level, covered, width in itertools.chain(of_means(), over_rows()):
            writer.writerow((method, name, count, level, round(covered, 4), round(width, 3)))


if __name__ == "__main__":
    main()
