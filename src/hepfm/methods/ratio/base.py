"""The contract of a density ratio: what is learned of two weighted samples, and says of a row how they
differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import DataError
from hepfm.core.schema import Schema
from hepfm.data.row_source import Index, RowSource

Floats = npt.NDArray[np.float64]
X = TypeVar("X")
"""What an estimator reads of rows: it alone looks into it."""


@dataclass(frozen=True)
class TwoWeights:
    """Rows with a weight in each of two samples; a row that is in one of them has weight 0 in the other.

    OmniFold's second step has the same rows in both samples, with other weights. They are then trained on
    once, and the two samples have no statistical fluctuation against each other.

    Attributes
    ----------
    numerator, denominator
        Weights of R rows in the sample of the ratio's numerator and of its denominator. Negative ones
        subtract: background that is taken from data.
    """

    numerator: Floats
    denominator: Floats

    def __post_init__(self) -> None:
        for name, weights in (("numerator", self.numerator), ("denominator", self.denominator)):
            bad = int((~np.isfinite(weights)).sum())
            if bad:
                raise DataError(f"{bad} of {len(weights)} weights of the {name} are NaN or infinite")
            if weights.sum() <= 0:
                raise DataError(
                    f"the weights of the {name} add up to {weights.sum():g}: there is nothing of which a "
                    "ratio could be formed; look at the selection and at the weights"
                )

    @property
    def scale(self) -> float:
        """Sum of the weights of the numerator over that of the denominator."""
        return float(self.numerator.sum() / self.denominator.sum())

    def balanced(self) -> tuple[Floats, Floats]:
        """Return both weights, scaled so that each sample has weight R/2: both count alike in a loss."""
        half = len(self.numerator) / 2
        return self.numerator * (half / self.numerator.sum()), self.denominator * (
            half / self.denominator.sum()
        )

    def of(self, rows: npt.NDArray[Any]) -> TwoWeights:
        """Return the weights of some of the rows."""
        return TwoWeights(self.numerator[rows], self.denominator[rows])

    @classmethod
    def stacked(cls, numerator: Floats, denominator: Floats) -> TwoWeights:
        """Return the weights of the rows of two samples, one behind the other."""
        none = np.zeros
        return cls(
            np.concatenate([numerator, none(len(denominator))]),
            np.concatenate([none(len(numerator)), denominator]),
        )


class Ratio(ABC, Generic[X]):
    """A learned density ratio."""

    facts: Mapping[str, Any]
    """How it was learned, JSON-ready: epochs or steps, losses."""

    @abstractmethod
    def log_ratio(self, x: X) -> Floats:
        """Return ln p_numerator(x) / p_denominator(x) of rows, (R,), of densities that are normalised to
        1."""


class RatioEstimator(ABC, Generic[X]):
    """A way of learning the ratio of two densities: one file and one row in `hepfm.methods.ratio`.

    Parameters
    ----------
    config
        Its options.
    """

    Config: ClassVar[type[BaseConfig]]
    warm: ClassVar[bool] = False
    """Whether it can go on from a ratio that it has learned before."""
    of_parts: ClassVar[bool] = False
    """Whether it reads whole rows, and takes events of several rows, such as two jets: `read` is then also
    given rows of shape (R, P). Others read observables of events, one row each."""
    models: ClassVar[tuple[str, ...]] = ()
    """Options that name model directories: a run is addressed by what is in them, not by where they are."""

    def __init__(self, config: BaseConfig) -> None:
        self.config = config

    @abstractmethod
    def check(self, schema: Schema) -> None:
        """Raise `HepfmError` for rows that it cannot read, before anything is run."""

    @abstractmethod
    def read(self, source: RowSource, rows: Index) -> X:
        """Return what is read of rows."""

    @abstractmethod
    def join(self, parts: Sequence[X]) -> X:
        """Return rows one behind the other."""

    @abstractmethod
    def take(self, x: X, places: npt.NDArray[np.int64]) -> X:
        """Return some of the rows, by their places."""

    def work(self, rows: int, *, scored: int) -> float:
        """Return what the time of a fit to some rows, and of the ratios of others, grows with, at most.

        By default the number of rows of the fit, next to which the ratios of others cost nothing.
        """
        return float(rows)

    @abstractmethod
    def fit(self, x: X, weights: TwoWeights, *, seed: int, start: Ratio[X] | None = None) -> Ratio[X]:
        """Learn the ratio.

        Parameters
        ----------
        x
            The R rows of both samples.
        weights
            What each counts in either of them.
        seed
            Of the part that is set aside for validation, of initial weights and of the order of rows.
        start
            A ratio of an estimator of the same options, from which to go on; None starts anew.
        """
