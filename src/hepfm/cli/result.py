"""What verbs return: frozen dataclasses with a meaning for every field; JSON and its schema are made of them.

They are dataclasses of the standard library so that the help of a verb imports nothing; pydantic reads them
when JSON or a schema is asked for, see `hepfm.cli.schema`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hepfm.workflow.estimate import Estimate


@dataclass(frozen=True, kw_only=True)
class VerbResult:
    """What any verb returns.

    Attributes
    ----------
    lines
        The result in words, as a terminal shows it.
    next
        The obvious next command, as it can be run; null where there is none.
    exit_code
        0, or 1 where some of what was asked failed.
    """

    lines: list[str] = field(default_factory=list)
    next: str | None = None
    exit_code: int = 0

    def text(self) -> Iterator[str]:
        """Yield what a terminal shows."""
        yield from self.lines
        if self.next is not None:
            yield f"next: {self.next}"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error.

    Attributes
    ----------
    type
        Its kind.
    message
        What was given, what was expected, where, and the cure.
    exit_code
        Exit code of the command: 2 for a mistake in what was asked, 1 for a fault of hepfm, 130 and 143 for a
        stop by Ctrl-C and by SIGTERM.
    """

    type: str
    message: str
    exit_code: int


@dataclass(frozen=True, kw_only=True)
class TrainedModel(VerbResult):
    """A finished training.

    Attributes
    ----------
    run
        The run directory.
    model
        Its model directory; of joint pre-training the folder with one of each domain.
    models
        The model directory of each domain of joint pre-training; empty otherwise.
    warning
        What a reader of the result should know; null where there is nothing.
    """

    run: str
    model: str
    models: dict[str, str] = field(default_factory=dict)
    warning: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingCost(VerbResult):
    """What a training would cost on this machine; nothing was written.

    Attributes
    ----------
    parameters, trained_parameters
        Number of weights, and of those that are trained.
    seconds_per_step
        Seconds of forward, backward and optimizer, the fastest of a few.
    rows_per_s
        Rows per second, of all processes.
    validation_seconds
        Seconds of one validation; 0 without.
    total_seconds
        Seconds of all steps and validations.
    peak_memory_bytes
        Largest memory so far in bytes: of the CUDA device, or resident memory of the process.
    loss
        Loss of the first batch.
    """

    parameters: int
    trained_parameters: int
    seconds_per_step: float
    rows_per_s: float
    validation_seconds: float
    total_seconds: float
    peak_memory_bytes: int
    loss: float


@dataclass(frozen=True, kw_only=True)
class StoreFacts(VerbResult):
    """What is in a store.

    Attributes
    ----------
    path
        Directory of the store.
    splits
        Rows of each split.
    classes
        Rows of each class in each split; empty without a label.
    lengths
        Mean number of entries per row of each deeper level.
    feature_sets
        The feature sets that the store has the fields for.
    size
        Bytes on disk.
    weight
        Field of the event weight, or null.
    """

    path: str
    splits: dict[str, int]
    classes: dict[str, dict[str, int]]
    lengths: dict[str, float]
    feature_sets: list[str]
    size: int
    weight: str | None = None


@dataclass(frozen=True, kw_only=True)
class StudyDone(VerbResult):
    """A study that was worked through.

    Attributes
    ----------
    study
        Its directory.
    report
        The page; null when no trial has a result.
    runs
        Number of runs by state: done, running, waiting, failed, skipped.
    """

    study: str
    report: str | None
    runs: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class CopiedModel(VerbResult):
    """A model directory that was made of a model elsewhere.

    Attributes
    ----------
    model
        The model directory.
    """

    model: str


@dataclass(frozen=True, kw_only=True)
class WorkflowEstimate(VerbResult):
    """What many runs would cost; nothing was written.

    Attributes
    ----------
    core_hours
        Hours on one core of all runs that are not done, as far as it is known.
    hours
        Hours on the cores that are used at once.
    unknown_runs
        Number of runs of which nothing is known.
    memory_bytes
        Peak bytes of all runs at once.
    estimates
        All runs, by verb and kind.
    """

    core_hours: float
    hours: float
    unknown_runs: int
    memory_bytes: int
    estimates: list[Estimate]
