"""What a run leaves that is killed, meets a full disk or is interrupted; and what the exit code says."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hepfm.cli.main import group
from hepfm.core.errors import DivergedError, TrainingError
from hepfm.study.study import StudyResult
from hepfm.workflow.child import execute
from hepfm.workflow.dask_pool import DaskPool, local_cluster
from hepfm.workflow.folder import RunFolder, Workspace
from hepfm.workflow.run import Run
from hepfm.workflow.verbs.base import Needs
from hepfm.workflow.verbs.pretrain import Pretrain

pytestmark = pytest.mark.enable_socket  # Dask talks to itself


def slow(seed: int) -> Run:
    """Return a simulation that would take hours."""
    pytest.importorskip("pythia8mc", reason="simulates collisions: extra sim")
    from hepfm.core.config import load_recipe

    recipe = {**load_recipe("jetclass_fast", "simulate"), "seed": seed}
    return Run("simulate", {"recipe": recipe})


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def children(pool: DaskPool) -> set[Any]:
    (worker,) = pool.cluster.workers.values()
    return set(worker.plugins["hepfm-children"].running)


def test_a_killed_run_fails_alone_and_may_try_again(tmp_path: Path) -> None:
    workspace, runs = Workspace(tmp_path), [slow(1), slow(2)]
    pool = DaskPool(workspace, local_cluster(2), cores=2)
    try:
        for run in runs:
            pool.start(run, Needs())
        wait_for(lambda: all((workspace.run(run.name).path / "run.json").exists() for run in runs))
        victim = next(iter(children(pool)))
        os.kill(victim.pid, signal.SIGKILL)
        ended: list[str] = []
        wait_for(lambda: ended.extend(pool.wait()) or ended)
        assert len(ended) == 1
        failure = workspace.run(ended[0]).failure()
        assert failure is not None
        assert (failure["kind"], failure["final"]) == ("Killed", False)
        assert "memory" in failure["message"]
        assert workspace.status(ended[0]) == "waiting"
        (other,) = children(pool)
        assert other.is_alive()
    finally:
        pool.close()
    wait_for(lambda: not other.is_alive())
    (left,) = {run.name for run in runs} - set(ended)
    assert workspace.run(left).failure() is None  # it was stopped, it did not fail


@pytest.mark.parametrize(("stop", "failed"), [(True, False), (False, True)])
def test_a_sigterm_that_comes_before_the_workers_own_is_no_failure(
    stop: bool, failed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch system sends it to the whole group; the run's process may end first."""
    monkeypatch.setattr("hepfm.workflow.dask_pool.GRACE", 20.0 if stop else 0.1)
    workspace, run = Workspace(tmp_path), slow(1)
    pool = DaskPool(workspace, local_cluster(1), cores=1)
    folder = workspace.run(run.name)
    try:
        pool.start(run, Needs())
        wait_for(lambda: (folder.path / "run.json").exists())
        (victim,) = children(pool)
        os.kill(victim.pid, signal.SIGTERM)
        wait_for(lambda: not victim.is_alive())
        if not stop:
            wait_for(lambda: folder.failure() is not None)
    finally:
        pool.close()
    assert (folder.failure() is not None) == failed


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (TrainingError("no room left on the disk while writing x"), "waiting"),
        (OSError(28, "No space left on device"), "waiting"),
        (MemoryError(), "waiting"),
        (DivergedError("the loss is nan"), "failed"),
    ],
)
def test_only_a_diverged_training_is_final(
    error: Exception, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(Pretrain, "run", fail)
    workspace, run = Workspace(tmp_path), Run("pretrain", {"recipe": {}})
    assert execute(workspace, run) == "failed"
    assert workspace.status(run.name) == state


@pytest.mark.parametrize(("states", "code"), [({"a": "done"}, 0), ({"a": "done", "b": "failed"}, 1)])
def test_the_exit_code_tells_of_failed_runs(
    states: dict[str, Any], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = StudyResult(Path("s"), None, states)
    monkeypatch.setattr("hepfm.study.study.study", lambda *args, **options: result)
    assert CliRunner().invoke(group, ["study", "x"]).exit_code == code
    assert CliRunner().invoke(group, ["study", "x", "--json"]).exit_code == code


def test_a_run_is_done_by_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def work(*args: Any, **options: Any) -> dict[str, Any]:
        calls.append(1)
        time.sleep(0.2)
        return {}

    monkeypatch.setattr(Pretrain, "run", work)
    workspace, run = Workspace(tmp_path), Run("pretrain", {"recipe": {}})
    threads = [threading.Thread(target=execute, args=(workspace, run)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert RunFolder(tmp_path / "runs" / run.name).facts() is not None
