"""Results that belong together: the same task, version and test rows; grouped by arm and label budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hepfm.core.errors import DataError
from hepfm.metrics.predictions import Predictions
from hepfm.tasks.base import load_task
from hepfm.tasks.result import DataInfo, MetricInfo, ResultFile, TaskInfo, Training
from hepfm.tasks.result_folder import read_result, read_scores

BASELINE = "scratch"
"""The arm that others are compared with."""


@dataclass(frozen=True)
class Origin:
    """What a training came from, to say over what an average is taken.

    Attributes
    ----------
    pretraining
        The model it started from; None from scratch.
    labels, init
        Seeds of the draw of labels and of new weights; None where nothing is drawn, or nothing is known.
    """

    pretraining: str | None
    labels: int | None
    init: int | None

    @classmethod
    def of(cls, training: Training) -> Origin:
        """Return the origin as the result alone tells it: one seed for everything that is drawn."""
        parent = _origin(training.init, training.parent)
        return cls(parent, None if training.budget is None else training.seed, training.seed)


@dataclass(frozen=True)
class Result:
    """One result directory, the name of its arm in this comparison, and what its training came from."""

    path: Path
    file: ResultFile
    arm: str
    origin: Origin

    @property
    def budget(self) -> int | None:
        """Number of labels; None when all were used."""
        return self.file.training.budget

    @property
    def seed(self) -> int | None:
        """Seed of the training."""
        return self.file.training.seed

    def noise(self, metric: str) -> MetricInfo | None:
        """Return what noise in place of a model scores; None where that was not measured."""
        return next((one for one in self.file.noise if one.name == metric), None)

    def predictions(self) -> Predictions:
        """Read the scores from disk; they are not kept, so that many large results fit."""
        return read_scores(self.path, self.file)[0]


@dataclass(frozen=True)
class Group:
    """Trainings that differ by their seed only, in the order of the seeds."""

    arm: str
    budget: int | None
    results: tuple[Result, ...]

    @property
    def label(self) -> str:
        """Arm and budget for people."""
        return f"{self.arm}, {budget_text(self.budget)}"


@dataclass(frozen=True)
class Section:
    """All results on one task, version and set of test rows; only these are comparable.

    Attributes
    ----------
    task, data
        What was done, on which rows.
    arms
        Names of the ways of training, the baseline last.
    groups
        By arm, then by rising budget.
    """

    task: TaskInfo
    data: DataInfo
    arms: tuple[str, ...]
    groups: tuple[Group, ...]

    def of(self, arm: str) -> tuple[Group, ...]:
        """Return the groups of an arm."""
        return tuple(group for group in self.groups if group.arm == arm)

    def find(self, arm: str, budget: int | None) -> Group | None:
        """Return the group of an arm at a budget, if there is one."""
        return next((group for group in self.of(arm) if group.budget == budget), None)

    @property
    def budgets(self) -> tuple[int | None, ...]:
        """Budgets in rising order, "all labels" last."""
        return tuple(sorted({group.budget for group in self.groups}, key=_rising))

    def budget_text(self, budget: int | None) -> str:
        """Return a budget for people: labels, or rows where nobody labelled them."""
        return budget_text(budget, load_task(self.task.spec).counted)

    @property
    def by_budget(self) -> tuple[Group, ...]:
        """Groups by rising budget, then by arm."""
        return tuple(group for budget in self.budgets for group in self.groups if group.budget == budget)

    @property
    def results(self) -> tuple[Result, ...]:
        """All results."""
        return tuple(result for group in self.groups for result in group.results)


def budget_text(budget: int | None, counted: str = "labels") -> str:
    """Return a budget for people; `counted` is what the rows of a task are called, as in `Task.counted`.

    >>> budget_text(10_000), budget_text(None), budget_text(100, "rows")
    ('10,000 labels', 'all labels', '100 rows')
    """
    return f"all {counted}" if budget is None else f"{budget:,} {counted}"


def load_sections(folders: Sequence[str | Path]) -> tuple[Section, ...]:
    """Read result directories and sort them into comparable sections.

    Raises
    ------
    DataError
        When none is given, one is damaged, or two are the same training.
    """
    if not folders:
        raise DataError("nothing to compare; give result directories of `hepfm evaluate`")
    files = [(Path(folder), read_result(Path(folder))) for folder in folders]
    by_test: dict[tuple[object, ...], list[tuple[Path, ResultFile]]] = {}
    for path, file in files:
        key = (file.task.key, file.data.fingerprint, file.data.split, file.data.rows)
        by_test.setdefault(key, []).append((path, file))
    return tuple(_section(members) for members in by_test.values())


def _section(members: list[tuple[Path, ResultFile]]) -> Section:
    results = [
        Result(path, file, arm, Origin.of(file.training))
        for (path, file), arm in zip(members, _arm_names(members), strict=True)
    ]
    arms = sorted({result.arm for result in results}, key=lambda arm: (arm == BASELINE, arm))
    groups = [
        _group(arm, budget, [result for result in results if (result.arm, result.budget) == (arm, budget)])
        for arm in arms
        for budget in sorted({result.budget for result in results if result.arm == arm}, key=_rising)
    ]
    file = members[0][1]
    return Section(file.task, file.data, tuple(arms), tuple(groups))


def _arm_names(members: Iterable[tuple[Path, ResultFile]]) -> list[str]:
    """Name arms; where one name stands for several models or backbones, add what tells them apart."""
    trainings = [file.training for _, file in members]
    origins: dict[str, set[tuple[str | None, str]]] = {}
    for training in trainings:
        origins.setdefault(training.arm_name, set()).add(
            (_origin(training.init, training.parent), training.backbone)
        )
    names = []
    for training in trainings:
        name, found = training.arm_name, origins[training.arm_name]
        parent = _origin(training.init, training.parent)
        extra = [training.backbone] if len({backbone for _, backbone in found}) > 1 else []
        extra += [f"from {parent[:8]}"] if parent and len({origin for origin, _ in found}) > 1 else []
        names.append(f"{name} ({', '.join(extra)})" if extra else name)
    return names


def _origin(init: str, parent: str | None) -> str | None:
    """A model from scratch shares nothing with the model whose architecture it took."""
    return None if init == "scratch" else parent


def _group(arm: str, budget: int | None, results: list[Result]) -> Group:
    ordered = sorted(results, key=lambda result: (result.seed is None, result.seed or 0, str(result.path)))
    for first, second in pairwise(ordered):
        if first.seed == second.seed:
            raise DataError(
                f"{first.path} and {second.path} are both seed {first.seed} of {arm!r} with "
                f"{budget_text(budget)}; leave one out, or name what differs with `hepfm evaluate --arm`"
            )
    return Group(arm, budget, tuple(ordered))


def _rising(budget: int | None) -> tuple[bool, int]:
    return (budget is None, budget or 0)
