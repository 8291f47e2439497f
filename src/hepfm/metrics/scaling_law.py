"""A scaling law of trainings: the fit, intervals over trainings, what the data leave open, and predictions.

Trainings that differ by their seeds alone make a cell. Two things scatter: trainings within a cell, and cells
around the law, beyond what trainings explain, because no form is exact. Both are drawn anew in a bootstrap
around the fitted law: deviations of trainings from their own cell with replacement (divided by the square
root of 1 - 1/S for S trainings, as deviations from a mean of S are too small), and normal deviations of cells
of the size that the residuals show. How often the intervals cover is in ``docs/data/scaling_coverage.csv``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import fdtrc

from hepfm.core.errors import ConfigError
from hepfm.core.rng import numpy_generator
from hepfm.metrics.bootstrap import MINIMUM_RESAMPLES, percentile_interval
from hepfm.metrics.mean_interval import LEVEL
from hepfm.metrics.power_law import EXPONENTS, HUBER, PowerLaw, check_points, fit_power_law
from hepfm.metrics.power_law_resamples import fit_again
from hepfm.metrics.predictions import FloatArray

SCALING_RESAMPLES = 200
_FURTHEST = 1.0
"""Largest deviation of ln L of a cell from the law that is drawn: the size of a misfit that one or two cells
tell of is known to no factor."""
_NOTHING = 1e-3
"""Part of the loss below which a term is taken for absent."""


@dataclass(frozen=True)
class LossCell:
    """Trainings that differ by their seeds alone.

    Attributes
    ----------
    x
        Variables, such as parameters and rows.
    losses
        One for each training.
    """

    x: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of the logarithms, as a loss."""
        return math.exp(float(np.log(self.losses).mean()))


@dataclass(frozen=True)
class FittedNumber:
    """A parameter of a law.

    Attributes
    ----------
    value
        Of the best fit.
    low, high
        Interval over trainings; None without one.
    problem
        Why the data do not determine it; empty where they do.
    """

    value: float
    low: float | None
    high: float | None
    problem: str = ""


@dataclass(frozen=True)
class PredictedLoss:
    """The mean loss of some trainings that the law has not seen.

    Attributes
    ----------
    value
        Of the law.
    low, high
        Interval of the mean over so many trainings; None without one.
    trainings
        Their number.
    """

    value: float
    low: float | None
    high: float | None
    trainings: int

    def agrees(self, losses: Sequence[float]) -> bool | None:
        """Tell whether the mean of measured losses lies in the interval; None without an interval.

        Raises
        ------
        ConfigError
            When the interval is that of another number of trainings.
        """
        if len(losses) != self.trainings:
            raise ConfigError(
                f"the interval is for the mean of {self.trainings} trainings, got {len(losses)}; predict for "
                "as many as are measured"
            )
        if self.low is None or self.high is None:
            return None
        return self.low <= LossCell((), tuple(losses)).mean <= self.high


@dataclass(frozen=True)
class ScalingFit:
    """A law with what is known of it.

    Attributes
    ----------
    law
        The best fit.
    cells
        What it was fitted to.
    level
        Probability of all intervals.
    draws
        Laws of the bootstrap.
    spread
        Standard deviation of ln L of single trainings within a cell; None where no cell has two.
    misfit
        Standard deviation of cells around the law beyond that, of ln L.
    free
        Cells less parameters of the law.
    p_form
        Probability that residuals of cells are as large if the form is right; None where cells are as many as
        parameters, or have one training each.
    deviations
        Deviations of ln L of trainings from their cell that are drawn from.
    seed
        Of the bootstrap.
    """

    law: PowerLaw
    cells: tuple[LossCell, ...]
    level: float
    draws: tuple[PowerLaw, ...]
    spread: float | None
    misfit: float
    free: int
    p_form: float | None
    deviations: FloatArray
    seed: int

    @property
    def residuals(self) -> tuple[float, ...]:
        """Mean ln L of each cell less that of the law."""
        return tuple(float(one) for one in _residuals(self.law, self.cells))

    @cached_property
    def offset(self) -> FittedNumber:
        """E; not determined where its interval reaches 0."""
        low, high = self._interval([law.offset for law in self.draws])
        least = min(cell.mean for cell in self.cells)
        open_ = low is not None and low <= _NOTHING * least
        return FittedNumber(self.law.offset, low, high, "its interval reaches 0" if open_ else "")

    def part(self, k: int) -> FittedNumber:
        """Return what variable k adds to the loss at its reference; open where it may be nothing."""
        low, high = self._interval([law.parts[k] for law in self.draws])
        nothing = low is not None and low <= _NOTHING * self.law.parts[k]
        return FittedNumber(
            self.law.parts[k], low, high, "its interval reaches 0: no gain is resolved" if nothing else ""
        )

    def exponent(self, k: int) -> FittedNumber:
        """Return exponent k; not determined where its interval reaches a bound, or its term may be absent."""
        low, high = self._interval([law.exponents[k] for law in self.draws])
        problem = self.part(k).problem and "no gain is resolved"
        if low is not None and high is not None and not problem:
            if low <= 1.1 * EXPONENTS[0]:
                problem = "its interval reaches 0"
            elif high >= 0.95 * EXPONENTS[1]:
                problem = f"its interval reaches {EXPONENTS[1]:g}"
        return FittedNumber(self.law.exponents[k], low, high, problem)

    def amplitude(self, k: int) -> FittedNumber:
        """Return A_k, with the variable in its own unit; not determined where the exponent is not."""
        low, high = self._interval([law.amplitudes[k] for law in self.draws])
        problem = self.exponent(k).problem and "the exponent is not determined"
        return FittedNumber(self.law.amplitudes[k], low, high, problem)

    def band(self, x_PK: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return the interval of the law itself at some points, shapes (P,); None without intervals."""
        if not self.draws:
            return None
        losses = np.array([law.loss(x_PK) for law in self.draws])
        ends = [percentile_interval(column, self.level) for column in losses.T]
        low, high = np.array(ends).T
        return low, high

    def predict(self, x: Sequence[float], *, trainings: int) -> PredictedLoss:
        """Return the loss at a point, and the interval of the mean of so many trainings there.

        It holds the uncertainty of the law, the scatter of cells around it and that of trainings.
        """
        if trainings < 1 or len(x) != len(self.law.parts) or not min(x) > 0:
            raise ConfigError(
                f"expected {len(self.law.parts)} variables above 0 and at least one training, got {tuple(x)} "
                f"and {trainings}"
            )
        point = np.array([x], float)
        random = numpy_generator(self.seed, "metrics.scaling_law.predict")
        losses = []
        for law in self.draws:
            away = _bounded(self.misfit * _student(random, self.free))
            if len(self.deviations):
                away += random.choice(self.deviations, trainings).mean()
            losses.append(float(law.loss(point)[0]) * math.exp(away))
        low, high = self._interval(losses)
        return PredictedLoss(float(self.law.loss(point)[0]), low, high, trainings)

    def _interval(self, values: Sequence[float]) -> tuple[float | None, float | None]:
        return percentile_interval(np.array(values), self.level) if values else (None, None)


def fit_scaling_law(
    cells: Sequence[LossCell],
    *,
    huber: float = HUBER,
    level: float = LEVEL,
    resamples: int = SCALING_RESAMPLES,
    seed: int = 0,
) -> ScalingFit:
    """Fit a law to cells of trainings.

    Parameters
    ----------
    cells
        At least as many as the law has parameters, one more than twice the variables, with at least three
        different values of each variable.
    huber
        Residual of ln L beyond which it counts linearly.
    level
        Probability of all intervals.
    resamples
        Of the bootstrap.
    seed
        Of the bootstrap.

    Raises
    ------
    ConfigError
        For too few cells, a cell without trainings, and losses or variables that are not positive numbers.
    """
    if not 0 < level < 1:
        raise ConfigError(f"the level of an interval lies between 0 and 1, got {level}")
    if resamples < MINIMUM_RESAMPLES:
        raise ConfigError(f"{resamples} resamples give no interval; take at least {MINIMUM_RESAMPLES}")
    if not all(cell.losses for cell in cells):
        raise ConfigError("a cell has no training; leave it out")
    x_PK, losses_P = _points(cells)
    check_points(x_PK, losses_P)
    law = fit_power_law(x_PK, losses_P, huber=huber)
    free = len(cells) - len(law.vector)
    deviations, spread = _deviations(cells)
    between = _between(law, cells)
    expected = (spread or 0.0) ** 2
    excess = max(between / free - expected, 0.0) if free else 0.0
    misfit = math.sqrt(excess / np.mean([len(cell.losses) for cell in cells]))
    within = sum(len(cell.losses) - 1 for cell in cells)
    fit = ScalingFit(
        law=law,
        cells=tuple(cells),
        level=level,
        draws=(),
        spread=spread,
        misfit=misfit,
        free=free,
        p_form=float(fdtrc(free, within, between / free / expected)) if free and expected else None,
        deviations=deviations,
        seed=seed,
    )
    if not spread and not misfit:
        return fit
    return _with_draws(fit, huber, resamples)


def _points(cells: Sequence[LossCell]) -> tuple[FloatArray, FloatArray]:
    x = np.array([cell.x for cell in cells for _ in cell.losses], float)
    return x, np.array([loss for cell in cells for loss in cell.losses], float)


def _residuals(law: PowerLaw, cells: Sequence[LossCell]) -> FloatArray:
    means = np.array([np.log(cell.losses).mean() for cell in cells])
    return means - np.log(law.loss(np.array([cell.x for cell in cells], float)))


def _between(law: PowerLaw, cells: Sequence[LossCell]) -> float:
    """Return the sum of squared residuals of cells, each times its trainings."""
    counts = np.array([len(cell.losses) for cell in cells])
    return float((counts * _residuals(law, cells) ** 2).sum())


def _deviations(cells: Sequence[LossCell]) -> tuple[FloatArray, float | None]:
    """Return deviations of trainings from cells, as large as those from true means, and their spread."""
    found = [
        (np.log(cell.losses) - np.log(cell.losses).mean()) / math.sqrt(1 - 1 / len(cell.losses))
        for cell in cells
        if len(cell.losses) > 1
    ]
    if not found:
        return np.empty(0), None
    sums = sum(float(np.var(np.log(cell.losses)) * len(cell.losses)) for cell in cells)
    return np.concatenate(found), math.sqrt(sums / sum(len(cell.losses) - 1 for cell in cells))


def _student(random: np.random.Generator, free: int) -> float:
    """Return a draw of Student's t: the size of the misfit is known from few cells only."""
    return float(random.standard_t(free)) if free else 0.0


def _bounded(deviation: float) -> float:
    return min(max(deviation, -_FURTHEST), _FURTHEST)


def _with_draws(fit: ScalingFit, huber: float, resamples: int) -> ScalingFit:
    """Return the fit with laws of losses that are drawn around it."""
    x_PK, _ = _points(fit.cells)
    centre_C = np.log(fit.law.loss(np.array([cell.x for cell in fit.cells], float)))
    losses = []
    for resample in range(resamples):
        random = numpy_generator(fit.seed, "metrics.scaling_law", resample)
        scale = fit.misfit * (math.sqrt(fit.free / random.chisquare(fit.free)) if fit.free else 0.0)
        ln_losses = [
            centre + _bounded(scale * random.standard_normal()) + _drawn(random, cell, fit.deviations)
            for centre, cell in zip(centre_C, fit.cells, strict=True)
        ]
        losses.append(np.exp(np.concatenate(ln_losses)))
    draws = fit_again(fit.law, x_PK, np.array(losses), huber=huber)
    return replace(fit, draws=tuple(draws))


def _drawn(random: np.random.Generator, cell: LossCell, pool: FloatArray) -> FloatArray:
    """Return deviations of the trainings of a cell: of its own, or of all cells where it has one training."""
    count = len(cell.losses)
    own = _deviations([cell])[0]
    source = own if len(own) else pool
    return random.choice(source, count) if len(source) else np.zeros(count)
