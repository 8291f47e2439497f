"""Runs whose weights are split over processes, and runs that go on with another number of processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from hepfm.core.config import merge
from hepfm.core.errors import ConfigError, HepfmError
from hepfm.models.weights import load_tensors
from hepfm.train.finetune import finetune
from hepfm.train.pretrain import dry_run, pretrain
from hepfm.train.replicas import check_shard
from hepfm.train.resume import resume
from hepfm.train.run import read_metrics

JOBS = """
import json, sys
import torch
torch.set_num_threads(1)
from hepfm.core.errors import HepfmError
from hepfm.train import finetune, pretrain
from hepfm.train.resume import resume
for name, verb, values, *model in json.loads(sys.argv[1]):
    output = f"{sys.argv[2]}/{name}"
    try:
        if verb == "resume":
            resume(output)
        elif verb == "pretrain":
            pretrain.pretrain(values, output=output)
        elif verb == "dry_run":
            pretrain.dry_run(values)
        else:
            finetune.finetune(*model, values, output=output)
    except HepfmError as error:
        with open(f"{output}.error", "w") as file:
            file.write(str(error))
"""


def run_jobs(folder: Path, jobs: list[list[Any]], *, processes: int = 2) -> None:
    """Do jobs one after the other in some processes."""
    script = folder / "jobs.py"
    script.write_text(JOBS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [*command, str(script), json.dumps(jobs), str(folder)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]


def losses(run: Path, kind: str = "train") -> list[float]:
    """Return the losses of a run, line by line."""
    return [line["loss"] for line in read_metrics(run / "metrics.jsonl", kind)]


def same(one: Path, other: Path) -> None:
    """Assert equal curves and weights to rounding."""
    for kind in ("train", "validation"):
        assert losses(other, kind) == pytest.approx(losses(one, kind), rel=1e-4), (other.name, kind)
    first, second = (load_tensors(run / "model" / "model.safetensors") for run in (one, other))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        if not name.endswith(("in_proj.bias", "query_key_value.bias")):  # see test_distributed
            torch.testing.assert_close(
                tensor, second[name], rtol=2e-3, atol=2e-4, msg=f"{other.name}: {name}"
            )


@pytest.fixture
def values(recipe: dict[str, Any]) -> dict[str, Any]:
    """The small recipe without dropout, whose draws depend on the process."""
    return merge(recipe, {"backbone": {"dropout": 0.0}, "train": {"ema": 0.9}})


SHARD = {"train": {"shard": True}}
VARIANTS = {
    "lion": {"train": {"optimizer": {"name": "lion", "lr": 1e-4}, "clip": None, "layer_decay": 0.8}},
    "half": {"train": {"precision": "bfloat16"}},
    "teacher": {"objective": {"name": "jepa"}},
    "particle_transformer": {"backbone": {"name": "particle_transformer", "size": "xs"}},
    "pet": {"data": {"features": "pet"}, "backbone": {"name": "pet", "size": "xs"}},
}


def test_what_is_split_trains_as_what_is_whole(values: dict[str, Any], tmp_path: Path) -> None:
    """Optimizers, half precision, a teacher, other backbones, LoRA and frozen backbones."""
    model = pretrain(values, output=tmp_path / "model").model_path
    train = {**values["train"], "batch_size": 16, "validate_every": 2}
    tune = {"data": {"store": values["data"]["store"], "budget": 60}, "train": train, "seed": 3}
    tunes = {mode: merge(tune, {"mode": mode}) for mode in ("full", "frozen", "lora")}
    recipes = {name: _variant(values, change) for name, change in VARIANTS.items()}
    split = tmp_path / "split"
    split.mkdir()
    jobs = [[name, "pretrain", merge(recipe, SHARD)] for name, recipe in recipes.items()]
    jobs += [[mode, "finetune", merge(recipe, SHARD), str(model)] for mode, recipe in tunes.items()]
    run_jobs(split, jobs)
    for name, recipe in recipes.items():
        pretrain(recipe, output=tmp_path / name)
    for name, recipe in tunes.items():
        finetune(model, recipe, output=tmp_path / name)
    assert not list(split.glob("*.error"))
    for name in recipes.keys() - {"half", "particle_transformer"} | tunes.keys():
        same(tmp_path / name, split / name)
    # Rounding to eight bits, and batch normalisation by the rows of one process, differ.
    for name in ("half", "particle_transformer"):
        assert losses(split / name) == pytest.approx(losses(tmp_path / name), rel=0.1)


def _variant(values: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    return merge({**values, **{key: change[key] for key in ("backbone",) if key in change}}, change)


@pytest.mark.parametrize("shard", [False, True], ids=["whole", "shard"])
def test_a_run_goes_on_with_another_number_of_processes(
    values: dict[str, Any], tmp_path: Path, shard: bool
) -> None:
    """One process, then two, then one: the curve is that of one process all the way."""
    recipe = merge(values, {"train": {"accumulate": 2, "shard": shard}})
    whole = merge(recipe, {"train": {"shard": False}})
    pretrain(whole, output=tmp_path / "one")
    first, then = tmp_path / "first", tmp_path / "then"
    for folder in (first, then):
        folder.mkdir()
    run_jobs(first, [["run", "pretrain", recipe]])
    stop_after(first / "run", 4)
    resume(first / "run")
    same(tmp_path / "one", first / "run")
    pretrain(whole, output=then / "run")
    stop_after(then / "run", 4)
    run_jobs(then, [["run", "resume", {}]])
    same(tmp_path / "one", then / "run")


def stop_after(run: Path, step: int) -> None:
    """Make of a finished run one that was stopped after its checkpoint of a step."""
    for path in (run / "checkpoints").iterdir():
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
    shutil.rmtree(run / "model")


def test_one_process_has_nothing_to_split(values: dict[str, Any], tmp_path: Path) -> None:
    recipe = merge(values, SHARD)
    for call in (
        lambda: pretrain(recipe, output=tmp_path / "run"),
        lambda: dry_run(recipe),
        lambda: check_shard(True),
    ):
        with pytest.raises(
            ConfigError, match=r"this is the only one; start with `torchrun .* or set train.shard"
        ):
            call()
    assert not (tmp_path / "run").exists()
    check_shard(False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": {"shard": True, "compile": True}}, "shard=true and compile=true do not go together"),
        ({"train": {"shard": "yes please"}}, "train.shard"),
        ({"train": {"sharded": True}}, "unknown key 'train.sharded'; did you mean 'shard'"),
    ],
)
def test_impossible_options(
    values: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        pretrain(merge(values, change), output=tmp_path / "run")


@pytest.mark.parametrize("mode", ["probe", "knn"])
def test_what_is_not_trained_by_steps_is_not_split(
    tiny_run: Path, finetune_recipe: dict[str, Any], tmp_path: Path, mode: str
) -> None:
    recipe = merge(finetune_recipe, {"mode": mode, "train": {"shard": True}})
    with pytest.raises(ConfigError, match=f"mode '{mode}' trains nothing so; set train.shard=false"):
        finetune(tiny_run / "model", recipe, output=tmp_path / "run")


def test_what_several_processes_cannot_do_is_said(values: dict[str, Any], tmp_path: Path) -> None:
    """Each process says the same, so that none waits for another."""
    few = merge(values, {"data": {"rows": 1}, "train": {"batch_size": 2}})
    odd = merge(values, {"train": {"batch_size": 33}})
    none = {**merge(values, SHARD), "backbone": "none", "objective": TOKENIZE}
    run_jobs(tmp_path, [["few", "dry_run", few], ["odd", "dry_run", odd], ["none", "dry_run", none]])
    assert "1 rows are too few to train on with 2 processes" in (tmp_path / "few.error").read_text()
    assert "choose a multiple of 2" in (tmp_path / "odd.error").read_text()
    assert "has none; set train.shard=false" in (tmp_path / "none.error").read_text()


TOKENIZE = {"name": "tokenize", "tokenizer": {"name": "vqvae", "width": 8, "depth": 1, "num_heads": 2}}


def test_a_checkpoint_of_another_recipe_is_refused(values: dict[str, Any], tmp_path: Path) -> None:
    for name, change in (("a", {}), ("b", {"train": {"batch_size": 32}}), ("c", {"backbone": {"depth": 1}})):
        pretrain(merge(values, change), output=tmp_path / name)
    for other, message in (("b", "another batch size"), ("c", "not of this architecture")):
        stop_after(tmp_path / other, 4)
        shutil.rmtree(tmp_path / other / "checkpoints")
        shutil.copytree(tmp_path / "a" / "checkpoints", tmp_path / other / "checkpoints")
        shutil.rmtree(tmp_path / other / "checkpoints" / "step-00000008")
        with pytest.raises(HepfmError, match=message):
            resume(tmp_path / other)
