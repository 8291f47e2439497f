"""Ctrl-C and SIGTERM of a whole study as a process: exit code, advice, no orphans, and it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from study_values import TRAIN, small_study

from hepfm.data.store import Store
from hepfm.study.study import study

pytestmark = [
    pytest.mark.enable_socket,  # Dask talks to itself
    pytest.mark.skipif(sys.platform != "linux", reason="counts processes in /proc"),
]

ENDLESS = {**TRAIN, "steps": 100_000, "log_every": 1, "validate_every": 100_000, "schedule": "constant"}


@pytest.fixture
def folder(jet_store: Store, tops: Store, tmp_path: Path) -> Path:
    """A folder with a study whose pre-training does not end by itself."""
    values = small_study(jet_store.path, tops.path)
    values["pretrain"]["recipe"]["train"] = ENDLESS
    write(tmp_path, values)
    return tmp_path


def write(folder: Path, values: dict[str, object]) -> Path:
    with (folder / "small.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump(values, stream)
    return folder / "small.yaml"


def session_of(leader: int) -> list[int]:
    """Return the processes of a session that go on, by Linux's own list."""
    alive = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if entry.name.isdigit() and fields[0] != "Z" and int(fields[3]) == leader:
            alive.append(int(entry.name))
    return alive


def wait_for(happened: Callable[[], bool], *, within: float) -> bool:
    end = time.monotonic() + within
    while not happened() and time.monotonic() < end:
        time.sleep(0.05)
    return happened()


def stop(folder: Path, number: signal.Signals, *, to_group: bool) -> tuple[int, str]:
    """Start the study, send a signal while it pre-trains; return exit code and messages."""
    command = [sys.executable, "-m", "hepfm", "study", "small.yaml", "-o", "out", "--processes", "2"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert wait_for(lambda: pretrains(folder / "out"), within=250), process.poll()
            (os.killpg if to_group else os.kill)(process.pid, number)
            _, said = process.communicate(timeout=120)
            assert wait_for(lambda: not session_of(process.pid), within=5), session_of(process.pid)
        finally:
            for left in session_of(process.pid):
                os.kill(left, signal.SIGKILL)
    return process.returncode, said


def pretrains(output: Path) -> bool:
    return any(path.read_text().count("\n") > 3 for path in output.glob("runs/*/run/metrics.jsonl"))


@pytest.mark.parametrize("to_group", [True, False])
@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGINT, 130, "interrupted; what was complete is kept; the same command goes on"),
        (signal.SIGTERM, 143, "SIGTERM: stopped; what was complete is kept"),
    ],
)
def test_a_stopped_study_leaves_no_process(
    folder: Path, number: signal.Signals, code: int, words: str, to_group: bool
) -> None:
    ended_with, said = stop(folder, number, to_group=to_group)
    assert ended_with == code, said
    assert words in said
    assert "Traceback" not in said
    assert not list((folder / "out").glob("runs/*/failed.json"))


def test_an_interrupted_study_goes_on(folder: Path, jet_store: Store, tops: Store) -> None:
    stop(folder, signal.SIGINT, to_group=True)
    again = study(write(folder, small_study(jet_store.path, tops.path)), output=folder / "out", processes=2)
    assert again.complete
