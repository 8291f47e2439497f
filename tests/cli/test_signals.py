"""Ctrl-C and SIGTERM on the command line: exit code, message, what is kept, and that it ends at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from hepfm.cli import main
from hepfm.cli.common import verb
from hepfm.core.interrupts import Interrupted
from hepfm.data.store import Store
from hepfm.train.pretrain import pretrain
from hepfm.train.resume import resume
from hepfm.train.run import read_metrics

TRAINING = {
    "data": {"features": "kin"},
    "backbone": {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2},
    "train": {
        "steps": 100_000,
        "batch_size": 16,
        "accumulate": 1,
        "log_every": 1,
        "validate_every": 100_000,
        "checkpoint_every": 100_000,
        "schedule": "constant",
        "device": "cpu",
    },
    "seed": 3,
}


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start a verb in a process group of its own, as a shell does."""
    return subprocess.Popen(
        [sys.executable, "-m", "hepfm", *(str(one) for one in arguments)],
        cwd=folder,
        # As many threads as this process has: sums over other pieces round otherwise.
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ended(process: subprocess.Popen[str], *, within: float) -> tuple[int, str]:
    """Return exit code and messages; a process that goes on for longer is killed and fails the test."""
    try:
        _, error = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert "Traceback" not in error
    return process.returncode, error


@pytest.fixture
def training(jet_store: Store, tmp_path: Path) -> Path:
    """A folder with the recipe of a training without end."""
    recipe = {**TRAINING, "data": {"store": str(jet_store.path), "features": "kin"}}
    (tmp_path / "recipe.json.yaml").write_text(json.dumps(recipe))
    return tmp_path


def begun(folder: Path, steps: int = 3) -> Callable[[], bool]:
    metrics = folder / "run" / "metrics.jsonl"
    return lambda: metrics.exists() and metrics.read_text().count("\n") >= steps


def test_ctrl_c_while_training_tells_how_to_go_on(training: Path) -> None:
    process = start(training, "pretrain", "recipe.json.yaml", "-o", "run")
    wait_for(process, begun(training))
    os.killpg(process.pid, signal.SIGINT)
    code, error = ended(process, within=20)
    assert code == 130
    assert "interrupted; go on with `hepfm resume run`" in error
    assert not list((training / "run").glob(".*"))


def test_sigterm_while_training_writes_a_checkpoint_that_goes_on_bit_for_bit(training: Path) -> None:
    process = start(training, "pretrain", "recipe.json.yaml", "-o", "run")
    wait_for(process, begun(training))
    process.terminate()
    code, error = ended(process, within=20)
    assert code == 143
    (checkpoint,) = (training / "run" / "checkpoints").iterdir()
    step = int(checkpoint.name.removeprefix("step-"))
    assert f"stopped after step {step}" in error
    assert "hepfm resume run" in error

    config = json.loads((training / "recipe.json.yaml").read_text())
    config["train"]["steps"] = step + 4
    pretrain(config, output=training / "whole")
    _shorten(training / "run", step + 4)
    resume(training / "run")
    halves, whole = (read_metrics(training / name / "metrics.jsonl", "train") for name in ("run", "whole"))
    assert [line["loss"] for line in halves] == [line["loss"] for line in whole]
    assert len(whole) == step + 4


def _shorten(run: Path, steps: int) -> None:
    """Let a run end after so many steps."""
    from hepfm.core.config import fingerprint
    from hepfm.train.run import _placeless

    values = json.loads((run / "config.json").read_text())
    del values["fingerprint"]
    values["train"]["steps"] = steps
    (run / "config.json").write_text(json.dumps({**values, "fingerprint": fingerprint(_placeless(values))}))


SLOW_CHECKPOINT = """
import sys, time
from hepfm.cli.main import main
from hepfm.train import loop

def save(folder, checkpoint):
    print("saving", flush=True)
    time.sleep(60)

loop.save_checkpoint = save
sys.argv = ["hepfm", "pretrain", "recipe.json.yaml", "-o", "run"]
main()
"""


def test_a_second_sigterm_ends_at_once(training: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_CHECKPOINT], cwd=training, stdout=subprocess.PIPE, text=True
    )
    wait_for(process, begun(training))
    process.terminate()
    assert process.stdout is not None
    assert process.stdout.readline() == "saving\n"
    process.terminate()
    assert process.wait(timeout=5) == -signal.SIGTERM
    process.stdout.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_simulate_with_several_processes_stops_at_once(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
    pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")
    recipe = {
        "jets": {"train": 100_000},
        "chunk_jets": 5,
        "batch_events": 40,
        "mpi": False,
        "pythia": ["Beams:eCM = 13000.", "PhaseSpace:pTHatMin = 500."],
        "classes": {"QCD": {"pythia": ["HardQCD:all = on"]}},
    }
    YAML().dump(recipe, tmp_path / "recipe.yaml")
    process = start(tmp_path, "simulate", "recipe.yaml", "-o", "store", "--processes", "2")
    work = tmp_path / ".store.chunks"
    wait_for(process, lambda: len(list(work.glob("*.npz"))) > 1)
    os.killpg(process.pid, number)
    ended_with, error = ended(process, within=10)
    assert ended_with == code
    assert "interrupted; complete chunks are kept" in error or "SIGTERM: stopped" in error
    made = len(list(work.glob("*.npz")))
    time.sleep(1.5)
    assert len(list(work.glob("*.npz"))) == made  # nobody goes on
    assert not running(process.pid)


def running(group: int) -> list[str]:
    """Return the commands of a process group that still run; those that only wait to be reaped do not."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return [row[2] for row in rows if int(row[0]) == group and not row[1].startswith("Z")]


def invoke(raised: BaseException) -> tuple[int, str]:
    @click.command()
    @verb
    def command() -> None:
        raise raised

    result = CliRunner().invoke(command, [])
    return result.exit_code, result.output


def test_ctrl_c_in_any_verb_has_the_exit_code_of_the_shell() -> None:
    assert invoke(KeyboardInterrupt()) == (130, "\ninterrupted; nothing half-made was left\n")
    assert invoke(Interrupted("try again")) == (130, "\ninterrupted; try again\n")


@pytest.mark.parametrize("name", main.VERBS)
def test_ctrl_c_while_a_verb_is_imported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_module: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.import_module", interrupt)
    result = CliRunner().invoke(main.group, [name])
    assert (result.exit_code, "interrupted" in result.output) == (130, True)
