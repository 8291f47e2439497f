"""The laws of one arm of a study: what is fitted to which cells, and what is predicted of which others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hepfm.core.errors import ConfigError
from hepfm.metrics.power_law import envelope
from hepfm.metrics.scaling_law import LossCell, PredictedLoss, ScalingFit, fit_scaling_law
from hepfm.study.scaling_grid import ScalingGrid
from hepfm.study.scaling_runs import NO_PLATEAU, MeasuredTraining


@dataclass(frozen=True)
class ScaledCell:
    """Trainings of one size on one number of rows.

    Attributes
    ----------
    size, rows
        Size, and rows as the study says them; None for all.
    predicted
        Name of the prediction that it is held out for; empty where it is fitted.
    parameters, training_rows
        N and D.
    trainings
        Those that count.
    left_out
        Those that had not reached a plateau.
    """

    size: str
    rows: int | None
    predicted: str
    parameters: int
    training_rows: int
    trainings: tuple[MeasuredTraining, ...]
    left_out: tuple[MeasuredTraining, ...] = ()

    @property
    def losses(self) -> tuple[float, ...]:
        """Losses of the trainings that count."""
        return tuple(one.loss for one in self.trainings)

    @property
    def mean(self) -> float:
        """Geometric mean of these losses."""
        return LossCell((), self.losses).mean

    @property
    def flops(self) -> float:
        """Geometric mean of the compute up to the best validation."""
        return float(np.exp(np.mean([np.log(one.flops) for one in self.trainings])))


@dataclass(frozen=True)
class NamedLaw:
    """A law and the cells it is fitted to, or why there is none.

    Attributes
    ----------
    key, title
        For files and for people.
    variables
        Symbols of its variables.
    cells
        Cells that it is fitted to.
    fit
        The law; None without one.
    why
        Why there is none.
    """

    key: str
    title: str
    variables: tuple[str, ...]
    cells: tuple[ScaledCell, ...]
    fit: ScalingFit | None
    why: str = ""


@dataclass(frozen=True)
class CheckedPrediction:
    """What was predicted of a cell, beside what was measured.

    Attributes
    ----------
    cell
        The cell; without trainings before it is made.
    predicted
        The loss that the law of N and D gives; None without a law.
    largest
        The fitted cell of the largest compute 6 N D: what a guess of no further gain says.
    """

    cell: ScaledCell
    predicted: PredictedLoss | None
    largest: ScaledCell | None

    @property
    def verdict(self) -> str:
        """Whether both agree, or why that is open."""
        if self.predicted is None:
            return "no law"
        if not self.cell.trainings:
            return "no plateau" if self.cell.left_out else "not measured yet"
        agrees = self.predicted.agrees(self.cell.losses)
        return "no interval" if agrees is None else "agrees" if agrees else "does not agree"


@dataclass(frozen=True)
class ArmScaling:
    """The scaling of one arm.

    Attributes
    ----------
    arm
        Its name.
    grid
        The section of the study.
    cells
        All cells, those held out too.
    seeds
        Trainings planned of a cell.
    """

    arm: str
    grid: ScalingGrid
    cells: tuple[ScaledCell, ...]
    seeds: int

    @cached_property
    def fitted(self) -> tuple[ScaledCell, ...]:
        """Cells that are not held out and have trainings that count."""
        return tuple(cell for cell in self.cells if not cell.predicted and cell.trainings)

    @cached_property
    def joint(self) -> NamedLaw:
        """The law of parameters and rows."""
        return self._law("joint", "N and D", ("N", "D"), self.fitted, both)

    @cached_property
    def by_parameters(self) -> NamedLaw:
        """The law of parameters at the most rows."""
        most = max((cell.training_rows for cell in self.fitted), default=0)
        cells = tuple(cell for cell in self.fitted if cell.training_rows == most)
        return self._law("parameters", f"N, at D = {most:,}", ("N",), cells, parameters)

    @cached_property
    def by_rows(self) -> NamedLaw:
        """The law of rows at the most parameters."""
        most = max((cell.parameters for cell in self.fitted), default=0)
        cells = tuple(cell for cell in self.fitted if cell.parameters == most)
        return self._law("rows", f"D, at N = {most:,}", ("D",), cells, rows)

    @cached_property
    def by_compute(self) -> NamedLaw:
        """The law of compute of the cells that none of less compute undercuts."""
        places = envelope([cell.flops for cell in self.fitted], [cell.mean for cell in self.fitted])
        cells = tuple(self.fitted[place] for place in places)
        return self._law("compute", "compute, along the envelope", ("C",), cells, compute)

    @property
    def laws(self) -> tuple[NamedLaw, ...]:
        """All four."""
        return self.joint, self.by_parameters, self.by_rows, self.by_compute

    @cached_property
    def predictions(self) -> tuple[CheckedPrediction, ...]:
        """What the law of N and D says of the cells held out."""
        largest = max(self.fitted, key=lambda cell: cell.parameters * cell.training_rows, default=None)
        return tuple(
            CheckedPrediction(cell, self._predicted(cell), largest) for cell in self.cells if cell.predicted
        )

    def _predicted(self, cell: ScaledCell) -> PredictedLoss | None:
        if self.joint.fit is None:
            return None
        return self.joint.fit.predict(both(cell), trainings=len(cell.trainings) or self.seeds)

    def _law(
        self,
        key: str,
        title: str,
        variables: tuple[str, ...],
        cells: tuple[ScaledCell, ...],
        x: Callable[[ScaledCell], tuple[float, ...]],
    ) -> NamedLaw:
        try:
            fit = fit_scaling_law(
                [LossCell(x(cell), cell.losses) for cell in cells],
                huber=self.grid.huber,
                level=self.grid.level,
                resamples=self.grid.resamples,
            )
        except ConfigError as error:
            return NamedLaw(key, title, variables, cells, None, str(error))
        return NamedLaw(key, title, variables, cells, fit)


def both(cell: ScaledCell) -> tuple[float, ...]:
    """Return N and D of a cell."""
    return float(cell.parameters), float(cell.training_rows)


def parameters(cell: ScaledCell) -> tuple[float, ...]:
    """Return N of a cell."""
    return (float(cell.parameters),)


def rows(cell: ScaledCell) -> tuple[float, ...]:
    """Return D of a cell."""
    return (float(cell.training_rows),)


def compute(cell: ScaledCell) -> tuple[float, ...]:
    """Return the compute of a cell."""
    return (cell.flops,)


def counted(
    trainings: Sequence[MeasuredTraining], grid: ScalingGrid
) -> tuple[tuple[MeasuredTraining, ...], tuple[MeasuredTraining, ...]]:
    """Return the trainings that count in fits and predictions, and those that are left out."""
    keep = grid.improving == "keep"
    kept = tuple(one for one in trainings if keep or one.mark not in NO_PLATEAU)
    return kept, tuple(one for one in trainings if one not in kept)
