"""Checkpoints: exact, whole or not at all, and the old ones survive a full disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hepfm.core.errors import TrainingError
from hepfm.train.checkpoint import (
    Checkpoint,
    checkpoint_path,
    checkpoint_steps,
    describe_last,
    load_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)


def make(step: int) -> Checkpoint:
    return Checkpoint(
        step, {"objective.w": torch.arange(4.0) + step, "ema.w": torch.ones(2)}, {"loader": {"batch": 3}}
    )


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make(7))
    found = load_checkpoint(tmp_path, 7)
    assert found.step == 7
    assert found.values["loader"] == {"batch": 3}
    assert found.part("objective").keys() == {"w"}
    assert torch.equal(found.part("objective")["w"], torch.arange(4.0) + 7)


def test_the_last_two_and_the_best_are_kept(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40, 50):
        save_checkpoint(tmp_path, make(step))
        prune_checkpoints(tmp_path, keep=2, also=[20])
    assert checkpoint_steps(tmp_path) == [20, 40, 50]


def test_an_altered_checkpoint_is_refused_with_the_fix(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make(1))
    file = checkpoint_path(tmp_path, 1) / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(TrainingError, match=r"was altered.*; delete .*step-00000001"):
        load_checkpoint(tmp_path, 1)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="missing"):
        load_checkpoint(tmp_path, 5)
    assert describe_last(tmp_path) == "no checkpoint yet"


FULL_DISK = """
import resource, sys, torch
from pathlib import Path
from hepfm.core.errors import TrainingError
from hepfm.train.checkpoint import Checkpoint, save_checkpoint
folder = Path(sys.argv[1])
save_checkpoint(folder, Checkpoint(1, {"w": torch.zeros(10)}, {}))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    save_checkpoint(folder, Checkpoint(2, {"w": torch.zeros(100_000)}, {}))
except TrainingError as error:
    print(error)
"""


def test_a_full_disk_keeps_the_old_checkpoint_and_says_so(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "no room left on the disk" in run.stdout
    assert "Kept: the checkpoint of step 1" in run.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert load_checkpoint(tmp_path, 1).step == 1


@pytest.mark.parametrize("change", [{"step": 2}, {"loader": {"epoch": 7}}, {"new": 1}, {"checksum": "0"}])
def test_an_altered_state_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    save_checkpoint(tmp_path, make(1))
    file = checkpoint_path(tmp_path, 1) / "state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(TrainingError, match=r"state.json was altered.*; delete .*step-00000001"):
        load_checkpoint(tmp_path, 1)


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_links_out_of_a_checkpoint_are_not_followed(tmp_path: Path, name: str) -> None:
    save_checkpoint(tmp_path, make(1))
    file = checkpoint_path(tmp_path, 1) / name
    file.rename(tmp_path / name)
    file.symlink_to(tmp_path / name)
    with pytest.raises(TrainingError, match="link out of its folder"):
        load_checkpoint(tmp_path, 1)


def test_other_things_among_the_checkpoints_are_left_alone(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make(1))
    (tmp_path / "step-final").mkdir()
    assert checkpoint_steps(tmp_path) == [1]
