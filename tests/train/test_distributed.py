"""Two processes under torchrun train like one process on the same global batches."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from hepfm.core.config import merge
from hepfm.models.weights import load_tensors
from hepfm.train.checkpoint import checkpoint_steps
from hepfm.train.pretrain import pretrain
from hepfm.train.run import read_metrics

SCRIPT = """
import atexit, json, os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)

@atexit.register
def no_thread_is_left():
    # Registered first, so run last: a thread of the process group can abort the process while Python ends.
    threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    # torch keeps the group of a network that it has split for good; it is never freed, and so aborts nothing.
    if any("gloo" in name for name in threads) and "torch.distributed.fsdp" not in sys.modules:
        print("left:", threads, file=sys.stderr, flush=True)
        os._exit(3)

from hepfm.train.pretrain import pretrain
from hepfm.train.resume import resume
if len(sys.argv) == 3:
    pretrain(json.loads(sys.argv[1]), output=sys.argv[2])
else:
    resume(sys.argv[1])
"""

TOKENIZE = """
import json, sys
import torch
torch.set_num_threads(1)
from hepfm.train.tokenize import tokenize
for number, recipe in enumerate(json.loads(sys.argv[1])):
    tokenize(recipe, output=f"{sys.argv[2]}/run{number}", split="test")
"""
CODES = """
import torch
import torch.distributed as dist
torch.set_num_threads(1)
from hepfm.tokenizers.quantizer import Quantizer, QuantizerConfig
from hepfm.train.distributed import join_world

world = join_world("cpu")
for config in ({"replace_after": 1}, {"alternating": 0.5, "replace_after": 0}):
    torch.manual_seed(0)
    quantizer = Quantizer(QuantizerConfig(codes=16, dim=2, kmeans_start=False, **config)).train()
    start_CK = quantizer.codes_CK.detach().clone()
    torch.manual_seed(1 + world.rank)
    for step in range(6):
        # In the last steps one process has nothing but empty rows.
        quantizer(torch.randn(0 if step > 3 and world.rank else 40, 2))
        quantizer.after_step()
    found_RCK = [torch.empty_like(start_CK) for _ in range(world.size)]
    dist.all_gather(found_RCK, quantizer.codes_CK.detach())
    assert not torch.equal(found_RCK[0], start_CK)
    assert torch.equal(found_RCK[0], found_RCK[1]), config
frozen = torch.nn.Linear(2, 2).requires_grad_(False)
assert world.wrap(frozen) is frozen
"""


def torchrun(script: Path, *arguments: str, processes: int = 2) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    run = subprocess.run([*command, str(script), *arguments], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr[-3000:]


SUM = {
    "name": "weighted_sum",
    "terms": [
        {"name": "flow_matching"},
        {"name": "masked"},
        {"name": "lejepa", "directions": 16},
        {"name": "contrastive", "augmentations": ["rotation"]},
        {"name": "supervised_contrastive"},
        {
            "name": "self_distillation",
            "augmentations": ["rotation"],
            "masked": {},
            "centre_momentum": 0.5,
            "teacher": {"momentum": 0.5, "schedule": "constant"},
        },
    ],
}
"""Noise, masks, statistics of the whole step, similarities of all its rows, teacher and centres."""


def same_curves(one: Path, two: Path, *, models: tuple[str, ...] = ("model",)) -> None:
    """Assert that two runs have the same lines of metrics, and the same weights."""
    for kind in ("train", "validation"):
        ours, theirs = (read_metrics(run / "metrics.jsonl", kind) for run in (one, two))
        assert [line["step"] for line in ours] == [line["step"] for line in theirs]
        for a, b in zip(ours, theirs, strict=True):
            assert a.keys() == b.keys()
            for name in a.keys() - {"rows_per_s", "kind"}:
                assert a[name] == pytest.approx(b[name], rel=1e-4, abs=1e-6), (kind, a["step"], name)
    for model in models:
        same_weights(one / model, two / model)


def same_weights(one: Path, two: Path) -> None:
    """Assert that two models have the same weights, up to rounding."""
    first, second = (load_tensors(model / "model.safetensors") for model in (one, two))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        if name.endswith("in_proj.bias"):
            continue  # Keys' bias changes nothing: its gradient is rounding, to Adam a full step.
        torch.testing.assert_close(tensor, second[name], rtol=1e-3, atol=1e-4, msg=lambda _, n=name: n)


CASES = {
    "weights": {"data": {"weights": "jet_pt"}, "train": {"accumulate": 2}},
    "sum": {"data": {"features": "pet"}, "objective": SUM},
}


@pytest.mark.parametrize("shard", [False, True], ids=["whole", "shard"])
@pytest.mark.parametrize("changes", list(CASES.values()), ids=list(CASES))
def test_two_processes_are_one(
    recipe: dict[str, Any], tmp_path: Path, changes: dict[str, Any], shard: bool
) -> None:
    values = merge(recipe, {"backbone": {"dropout": 0.0}, "train": {"ema": 0.9, "log_every": 2}})
    values = merge(values, changes)
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    torchrun(script, json.dumps(merge(values, {"train": {"shard": shard}})), str(tmp_path / "two"))
    pretrain(values, output=tmp_path / "one")
    same_curves(tmp_path / "one", tmp_path / "two")


def test_two_processes_are_one_in_joint_training(joint_recipe: dict[str, Any], tmp_path: Path) -> None:
    values = merge(joint_recipe, {"backbone": {"dropout": 0.0}})
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    torchrun(script, json.dumps(values), str(tmp_path / "two"))
    pretrain(values, output=tmp_path / "one")
    same_curves(
        tmp_path / "one", tmp_path / "two", models=tuple(f"models/{name}" for name in values["domains"])
    )


def test_two_processes_resume(recipe: dict[str, Any], tmp_path: Path) -> None:
    import shutil

    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    torchrun(script, json.dumps(recipe), str(tmp_path / "run"))
    before = read_metrics(tmp_path / "run" / "metrics.jsonl", "train")
    weights = (tmp_path / "run" / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000008")
    torchrun(script, str(tmp_path / "run"))
    after = read_metrics(tmp_path / "run" / "metrics.jsonl", "train")
    assert [line["loss"] for line in before] == [line["loss"] for line in after]
    assert (tmp_path / "run" / "model" / "model.safetensors").read_bytes() == weights


def test_two_processes_train_one_tokenizer(recipe: dict[str, Any], tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(TOKENIZE)
    vqvae = {"name": "vqvae", "width": 8, "depth": 1, "num_heads": 2, "codes": 16, "replace_after": 2}
    values = {
        **recipe,
        "data": {**recipe["data"], "features": "massless"},
        "backbone": "none",
        "objective": {"name": "tokenize", "tokenizer": vqvae},
    }
    fitted = {**values, "objective": {"name": "tokenize", "tokenizer": {"name": "kmeans", "codes": 16}}}
    torchrun(script, json.dumps([values, fitted]), str(tmp_path))
    for number in (0, 1):
        report = json.loads((tmp_path / f"run{number}" / "tokens" / "tokens.json").read_text())
        assert report["num_codes"] == 16
        assert not list(tmp_path.glob(f"run{number}/.partial-*"))


def test_two_processes_keep_one_codebook(tmp_path: Path) -> None:
    script = tmp_path / "codes.py"
    script.write_text(CODES)
    torchrun(script)


def test_sigterm_leaves_one_checkpoint_of_both_processes(recipe: dict[str, Any], tmp_path: Path) -> None:
    """The batch system's signal reaches the processes at different steps; they agree on one."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    train = {"steps": 100_000, "checkpoint_every": 100_000, "validate_every": 100_000}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    arguments = [str(script), json.dumps(merge(recipe, {"train": train})), str(tmp_path / "run")]
    process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 90
    while not (metrics.exists() and metrics.read_text().count("\n") > 3):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.terminate()
    _, error = process.communicate(timeout=60)
    (step,) = checkpoint_steps(tmp_path / "run" / "checkpoints")
    assert f"stopped after step {step}, kept: the checkpoint of step {step}" in error
