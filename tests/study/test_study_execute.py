"""The order of work, with a made-up pool: failures stop only what needs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rich import progress
from study_values import small_study
from test_study_plan import SEARCH, plan_of

from hepfm.core.errors import HepfmError
from hepfm.study.folder import StudyFolder
from hepfm.study.plan import Plan
from hepfm.workflow.progress import Progress
from hepfm.workflow.run import Run
from hepfm.workflow.schedule import State, needs_of, work_through
from hepfm.workflow.verbs.base import Needs


class Recorder:
    """Finishes runs at once, but for those that `fails` names."""

    def __init__(self, folder: StudyFolder, fails: Callable[[Run], bool], cores: int = 2) -> None:
        self.folder, self.fails, self.cores, self.cores_per_worker = folder, fails, cores, cores
        self.started: list[str] = []
        self.open: list[Run] = []

    def start(self, run: Run, needs: Needs) -> None:
        for parents in run.parents.values():
            assert any(self.folder.run(name).facts() for name in parents)
        self.started.append(run.name)
        self.open.append(run)
        assert sum(needs_of(one, self.cores).cores for one in self.open) <= self.cores

    def wait(self) -> list[str]:
        run = self.open.pop(0)
        folder = self.folder.run(run.name)
        folder.path.mkdir(parents=True, exist_ok=True)
        if self.fails(run):
            folder.fail(kind="DivergedError", message="the loss is nan", final=True)
        else:
            folder.finish({"seconds": 2.0, "threads": 1})
        return [run.name]

    def close(self) -> None:
        self.open.clear()


def go(plan: Plan, path: Path, fails: Callable[[Run], bool]) -> tuple[dict[str, State], list[str], Progress]:
    folder = StudyFolder(path)
    pool, shown = Recorder(folder, fails), Progress(plan.runs, folder)
    return work_through(plan.runs, folder, pool, shown), pool.started, shown


def test_everything_is_done_once_and_never_again(tmp_path: Path) -> None:
    plan = plan_of(small_study("a", "b", search=SEARCH))
    states, started, shown = go(plan, tmp_path, lambda run: False)
    assert sorted(started) == sorted(plan.runs)
    assert set(states.values()) == {"done"}
    assert shown.line() == f"{len(plan.runs)} done"
    assert go(plan, tmp_path, lambda run: False)[1] == []


def test_a_diverged_pretraining_skips_its_arm_and_no_other(tmp_path: Path) -> None:
    plan = plan_of(small_study("a", "b", arms={"scratch": None, "good": "supervised", "bad": "lejepa"}))

    def bad(run: Run) -> bool:
        return run.verb == "pretrain" and run.values["recipe"]["objective"]["name"] == "lejepa"

    states, _, _ = go(plan, tmp_path, bad)
    arms: dict[str, set[str]] = {}
    for trial in plan.trials:
        runs = (trial.pretrain, *trial.models, trial.evaluate)
        arms.setdefault(trial.cell.arm, set()).update(states[name] for name in runs if name)
    assert arms == {"scratch": {"done"}, "good": {"done"}, "bad": {"failed", "skipped"}}
    assert go(plan, tmp_path, bad)[1] == []  # it would diverge again


def test_one_rate_that_diverges_does_not_lose_the_trial(tmp_path: Path) -> None:
    plan = plan_of(small_study("a", "b", search={**SEARCH, "per": "cell"}))

    def hot(run: Run) -> bool:
        return run.verb == "finetune" and run.values["recipe"]["train"]["optimizer"]["lr"] == 0.1

    states, _, _ = go(plan, tmp_path, hot)
    assert {states[trial.evaluate] for trial in plan.trials} == {"done"}
    assert sum(state == "failed" for state in states.values()) == 2


def test_a_killed_run_gets_another_chance(tmp_path: Path) -> None:
    plan = plan_of(small_study("a", "b"))
    folder = StudyFolder(tmp_path)
    name = next(iter(plan.runs))
    folder.run(name).path.mkdir(parents=True)
    folder.run(name).fail(kind="Killed", message="signal 9")
    assert folder.status(name) == "waiting"
    assert name in go(plan, tmp_path, lambda run: False)[1]


def test_two_studies_cannot_work_in_one_directory(tmp_path: Path) -> None:
    with (
        StudyFolder(tmp_path).locked(),
        pytest.raises(HepfmError, match="another process is at work"),
        StudyFolder(tmp_path).locked(),
    ):
        pass
    with StudyFolder(tmp_path).locked():
        pass


def test_progress_counts_what_is_done(tmp_path: Path) -> None:
    plan = plan_of(small_study("a", "b"))
    _, _, shown = go(plan, tmp_path, lambda run: False)
    assert shown.line() == f"{len(plan.runs)} done"


def test_bars_have_a_row_for_each_verb(tmp_path: Path) -> None:
    plan = plan_of(small_study("a", "b"))
    with progress.Progress() as bars:
        shown = Progress(plan.runs, StudyFolder(tmp_path), bars)
        names = list(plan.runs)
        shown.show({**dict.fromkeys(names, "waiting"), names[0]: "done", names[1]: "failed"})
        rows = {task.description: (task.completed, task.total, task.fields["note"]) for task in bars.tasks}
    assert rows["pretrain"][:2] == (1, 2)
    assert list(rows) == ["pretrain", "finetune", "evaluate"]
    assert "failed" in "".join(note for *_, note in rows.values())
