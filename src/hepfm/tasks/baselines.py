"""What trivial answers score on the test rows of a task: the row baseline and the majority baseline; for
classes of constituents a table of |d0|/sigma and the majority baseline.

All come from the provenance of the model that is measured, which was fitted to the same labels; see
`hepfm.train.row_baseline`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.log import logger
from hepfm.core.ragged import Array, Ragged
from hepfm.core.schema import Level
from hepfm.data.store import Store
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.train.row_baseline import inputs_of, read_inputs, row_probabilities, row_values
from hepfm.train.significance_baseline import constituent_probabilities

ROW, MAJORITY = "row", "majority"
SIGNIFICANCE = "significance"


class FittedAnswer(Protocol):
    """A trivial answer that was fitted to the labels of a model; see `hepfm.tasks.subject.Answer`."""

    @property
    def name(self) -> str:
        """Name in results."""

    @property
    def values(self) -> Mapping[str, Any]:
        """What was fitted; ``inputs`` are the fields that it reads."""

    @property
    def title(self) -> str:
        """How tables call it."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the columns of `score`; empty for numbers."""

    def fits(self, store: Store) -> bool:
        """Tell whether a store has what it was fitted to."""

    def score(self, store: Store, rows: IntArray) -> Any:
        """Return what `hepfm.tasks.subject.Scorer.score` does."""


@dataclass(frozen=True)
class TrivialAnswer:
    """One baseline as a scorer.

    Attributes
    ----------
    name
        `ROW` or `MAJORITY`.
    values
        What `hepfm.train.row_baseline.fit_baselines` keeps of the label.
    """

    name: str
    values: Mapping[str, Any]

    @property
    def title(self) -> str:
        """How tables call it."""
        if self.name == ROW:
            number = len(self.values["inputs"])
            return f"row baseline ({number} number{'s' if number > 1 else ''})"
        return "commonest class" if "classes" in self.values else "constant"

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the columns of `score`; empty for numbers."""
        return tuple(self.values.get("classes", ()))

    def fits(self, store: Store) -> bool:
        """Tell whether a store gives the numbers of rows that it was fitted to."""
        return self.name != ROW or inputs_of(store.schema) == tuple(self.values["inputs"])

    def score(self, store: Store, rows: IntArray) -> Array:
        """Return class probabilities of rows, shape (R, K), or predicted numbers, shape (R,)."""
        return self._probabilities(store, rows) if self.classes else self._numbers(store, rows)

    def _probabilities(self, store: Store, rows: IntArray) -> Array:
        if self.name == ROW:
            return row_probabilities(self.values, self._inputs(store, rows))
        return np.tile(np.array(self.values["fractions"]), (len(rows), 1))

    def _numbers(self, store: Store, rows: IntArray) -> FloatArray:
        if self.name == ROW:
            return row_values(self.values, self._inputs(store, rows))
        return np.full(len(rows), float(self.values["median"]))

    def _inputs(self, store: Store, rows: IntArray) -> FloatArray:
        if not self.fits(store):
            raise DataError(
                f"the row baseline of the model was fitted to {', '.join(self.values['inputs'])}, and "
                f"{store.path} gives {', '.join(inputs_of(store.schema))}; evaluate on a store with the "
                "fields of the training data"
            )
        return read_inputs(store, rows, max_constituents=self.values["max_constituents"])


@dataclass(frozen=True)
class ConstituentAnswer:
    """One baseline of classes of constituents.

    Attributes
    ----------
    name
        `SIGNIFICANCE` or `MAJORITY`.
    values
        What `hepfm.train.significance_baseline.fit_constituents` keeps of the label.
    """

    name: str
    values: Mapping[str, Any]

    @property
    def title(self) -> str:
        """How tables call it."""
        return "significance of d0 alone" if self.name == SIGNIFICANCE else "commonest class"

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the columns of `score`."""
        return tuple(self.values["classes"])

    def fits(self, store: Store) -> bool:
        """Tell whether a store has the fields of tracks that it reads."""
        return self.name != SIGNIFICANCE or all(name in store.schema for name in self.values["inputs"])

    def score(self, store: Store, rows: IntArray) -> Ragged:
        """Return class probabilities of all constituents of rows, lists of (n, K)."""
        if self.name == SIGNIFICANCE:
            return constituent_probabilities(self.values, store, rows)
        lengths = store.lengths(Level.CONSTITUENT, rows)
        return Ragged.from_lengths(np.tile(np.array(self.values["fractions"]), (lengths.sum(), 1)), lengths)


def fitting_answers(answers: Sequence[FittedAnswer], store: Store) -> tuple[FittedAnswer, ...]:
    """Return the answers that a store has the numbers for; the others are told, and left out.

    A model may be measured on a store of another detector or generator that lacks them.
    """
    for answer in answers:
        if not answer.fits(store):
            numbers = ", ".join(answer.values["inputs"])
            logger.warning("no %s: it was fitted to %s, which %s lacks", answer.title, numbers, store.name)
    return tuple(answer for answer in answers if answer.fits(store))


def trivial_answers(provenance: Mapping[str, Any], label: str) -> tuple[FittedAnswer, ...]:
    """Return the baselines of a label that a model keeps; none for a model of unlabelled training."""
    values = provenance.get("baselines", {}).get(label)
    if values is None:
        return ()
    if "coefficients" in values:
        return TrivialAnswer(ROW, values), TrivialAnswer(MAJORITY, values)
    names = (*((SIGNIFICANCE,) if "table" in values else ()), MAJORITY)
    return tuple(ConstituentAnswer(name, values) for name in names)
