"""What a task measures: a model, rows that were generated, or anything else that scores rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hepfm.core.errors import ModelError
from hepfm.core.ragged import Array
from hepfm.data.store import Store
from hepfm.metrics.predictions import IntArray
from hepfm.tasks.baselines import FittedAnswer


class Scorer(Protocol):
    """Says something of each row: class probabilities, or a number."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the columns of `score`; empty for numbers."""

    def score(self, store: Store, rows: IntArray) -> Any:
        """Return class probabilities of rows in their order, shape (R, K), or numbers, shape (R,); of
        constituents a `hepfm.core.ragged.Ragged` of what is said of the leading ones; of neutrinos
        `hepfm.models.neutrinos.NeutrinoSolutions`, of segments `hepfm.models.segments.EventSegments`."""


class Answer(Scorer, Protocol):
    """A trivial scorer that is measured beside a model."""

    @property
    def name(self) -> str:
        """What results call it."""

    @property
    def title(self) -> str:
        """How tables call it."""


class NamedScorer(Scorer, Protocol):
    """A scorer that stands in a result by itself."""

    @property
    def fingerprint(self) -> str:
        """Hash of what it is."""

    @property
    def training(self) -> Mapping[str, Any]:
        """Values of `hepfm.tasks.result.Training`."""


@dataclass(frozen=True)
class RowsWanted:
    """Rows that a model is asked to generate.

    Attributes
    ----------
    n
        How many, all classes together.
    classes
        Classes that share them evenly; None for data without classes, and where `like` is given.
    like
        Store whose rows give the context; None where the model draws it.
    """

    n: int
    classes: tuple[str, ...] | None = None
    like: Path | None = None


class Subject:
    """What is measured. It can do nothing but what a subclass says.

    Parameters
    ----------
    fingerprint
        Hash of weights and config, or of what made the rows.
    path
        Where it lies, for messages and results.
    training
        Values of `hepfm.tasks.result.Training`.
    """

    device: str = "cpu"
    """Where it runs, and what it is compared with."""

    def __init__(self, *, fingerprint: str, path: str, training: Mapping[str, Any]) -> None:
        self.fingerprint, self.path, self.training = fingerprint, path, training

    @property
    def what(self) -> str:
        """How messages call it."""
        return f"the model at {self.path}" if self.path else "the scorer"

    @property
    def generated(self) -> Store | None:
        """Rows that are there already; None for what can generate new ones, or none."""
        return None

    def scorer(
        self,
        field: str,
        objective: Mapping[str, Any] | None = None,
        *,
        drawing: Mapping[str, Any] | None = None,
    ) -> Scorer:
        """Return what predicts a field; raise `ModelError` when nothing does.

        Parameters
        ----------
        field
            Name of the field.
        objective
            What would train it, for the message.
        drawing
            How solutions are drawn, where the field is said by these: options of
            `hepfm.models.neutrinos.neutrino_solutions`. A scorer that is no model draws as it does.
        """
        raise ModelError(
            f"{self.what} predicts nothing, and the task needs {field!r}; give a model directory"
        )

    def baselines(self, field: str) -> Sequence[FittedAnswer]:
        """Return the trivial answers that were fitted to the same labels; none by default."""
        return ()

    def layers(self, store: Store, rows: IntArray) -> dict[str, Array]:
        """Return a vector of each row from every layer, see `hepfm.models.layer_vectors.layer_vectors`; raise
        `ModelError` when nothing gives them."""
        raise ModelError(f"{self.what} has no layers; give a model directory")

    def embed(self, store: Store, rows: IntArray) -> Array:
        """Return the summary vector of each row, shape (R, D); raise `ModelError` when nothing gives them."""
        raise ModelError(f"{self.what} gives no summary vectors; give a model directory")

    def generate(self, wanted: RowsWanted, options: Mapping[str, Any], *, output: Path) -> Store:
        """Write generated rows to a new store; raise `ModelError` when nothing generates."""
        raise ModelError(f"{self.what} generates nothing; give a model with a generator, or generated rows")


class ScorerSubject(Subject):
    """A scorer of any origin, taken for what predicts the field that a task asks for."""

    def __init__(
        self, scorer: NamedScorer, *, path: str = "", baselines: Sequence[FittedAnswer] = ()
    ) -> None:
        super().__init__(fingerprint=scorer.fingerprint, path=path, training=scorer.training)
        self._scorer, self._baselines = scorer, baselines

    def scorer(
        self,
        field: str,
        objective: Mapping[str, Any] | None = None,
        *,
        drawing: Mapping[str, Any] | None = None,
    ) -> Scorer:
        """Return the scorer."""
        return self._scorer

    def baselines(self, field: str) -> Sequence[FittedAnswer]:
        """Return the answers that were given."""
        return self._baselines


class GeneratedSubject(Subject):
    """A store of generated rows, or of real ones that play them."""

    def __init__(self, store: Store, *, arm: str = "") -> None:
        provenance = store.manifest.provenance
        facts = provenance if provenance.get("source") == "generated" else {}
        fingerprint = str(facts.get("model", store.fingerprint))
        training = {"arm": arm or store.path.name}
        super().__init__(fingerprint=fingerprint, path=str(store.path), training=training)
        self._store = store

    @property
    def what(self) -> str:
        """How messages call it."""
        return f"the store of rows {self.path}"

    @property
    def generated(self) -> Store:
        """The rows."""
        return self._store
