"""The loop: same seed same losses, exact resume, refusals, and what it leaves on the disk."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hepfm.core.config import merge, parse_override
from hepfm.core.errors import ConfigError, DataError, HepfmError, TrainingError
from hepfm.core.files import read_json
from hepfm.core.locks import locked
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.writer import write_store
from hepfm.models.check import check
from hepfm.networks.network import Network
from hepfm.objectives.loss import Loss
from hepfm.objectives.supervised import Supervised
from hepfm.train.checkpoint import checkpoint_steps
from hepfm.train.distributed import World
from hepfm.train.pretrain import dry_run, pretrain
from hepfm.train.pretraining import Pretraining
from hepfm.train.recipe import read_pretrain_recipe
from hepfm.train.resume import resume
from hepfm.train.run import LOCK, read_metrics

Values = dict[str, Any]


def losses(run: Path) -> list[dict[str, float]]:
    """Return all lines of the metrics but for the speed, which is the clock's."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "rows_per_s"} for line in lines]


def test_the_run_directory_has_everything(tiny_run: Path) -> None:
    assert {path.name for path in tiny_run.iterdir()} == {
        "recipe.yaml",
        "training.json",
        "config.json",
        "environment.json",
        "metrics.jsonl",
        "checkpoints",
        "model",
    }
    assert checkpoint_steps(tiny_run / "checkpoints") == [4, 8]
    assert len(read_metrics(tiny_run / "metrics.jsonl", "train")) == 8
    assert [line["step"] for line in read_metrics(tiny_run / "metrics.jsonl", "validation")] == [4, 8]
    assert max(check(tiny_run / "model").values()) < 1e-6
    facts = read_json(tiny_run / "environment.json")
    assert facts["versions"]["torch"] == torch.__version__
    assert os.uname().nodename not in json.dumps(facts)


def test_the_same_seed_gives_the_same_losses_bit_for_bit(recipe: Values, tmp_path: Path) -> None:
    torch.manual_seed(1)
    pretrain(recipe, output=tmp_path / "a")
    torch.manual_seed(2)  # the caller's random state must not matter
    pretrain(recipe, output=tmp_path / "b")
    pretrain(recipe, output=tmp_path / "c", overrides=["seed=4"])
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert losses(tmp_path / "a")[0]["loss"] != losses(tmp_path / "c")[0]["loss"]
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]


def test_training_leaves_the_callers_random_state_alone(recipe: Values, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    pretrain(recipe, output=tmp_path / "a")
    assert torch.equal(torch.rand(2), expected)


class Stopped(Exception):
    """Ends a run in the middle."""


@pytest.mark.parametrize("log_every", [1, 3])
@pytest.mark.parametrize("optimizer", ["adamw", "lion"])
def test_a_resumed_run_is_the_run_that_was_not_stopped(
    recipe: Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, log_every: int
) -> None:
    overrides = [f"train.optimizer={optimizer}", "train.ema=0.9", f"train.log_every={log_every}"]
    pretrain(recipe, output=tmp_path / "whole", overrides=overrides)
    original = Supervised.after_step

    def stop(self: Supervised, network: Network, step: int, num_steps: int) -> None:
        original(self, network, step, num_steps)
        assert num_steps == 8
        if step == 7:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(Supervised, "after_step", stop)
        with pytest.raises(Stopped):
            pretrain(recipe, output=tmp_path / "halves", overrides=overrides)
    with (tmp_path / "halves" / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')  # as a crash of the machine may leave it
    assert checkpoint_steps(tmp_path / "halves" / "checkpoints") == [4]
    resume(tmp_path / "halves")
    assert losses(tmp_path / "halves") == losses(tmp_path / "whole")
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("halves", "whole")]
    assert weights[0] == weights[1]


KILLED = """
import json, sys
import torch
from hepfm.train.pretrain import pretrain
torch.set_num_threads(1)
pretrain(json.loads(sys.argv[1]), output=sys.argv[2])
"""


def test_a_killed_run_resumes_with_the_same_losses(recipe: Values, tmp_path: Path) -> None:
    long = merge(recipe, {"train": {"steps": 40, "checkpoint_every": 5, "validate_every": 10}})
    process = subprocess.Popen([sys.executable, "-c", KILLED, json.dumps(long), str(tmp_path / "killed")])
    metrics = tmp_path / "killed" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and len(metrics.read_text().splitlines()) > 8):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "model").exists()
    resume(tmp_path / "killed")
    pretrain(long, output=tmp_path / "whole")
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")


def test_resuming_a_finished_run_changes_nothing(recipe: Values, tmp_path: Path) -> None:
    result = pretrain(recipe, output=tmp_path / "run")
    before = losses(result.path), (result.model_path / "model.safetensors").read_bytes()
    resume(result.path)
    assert (losses(result.path), (result.model_path / "model.safetensors").read_bytes()) == before


def test_accumulated_parts_are_the_whole_batch(recipe: Values, tmp_path: Path) -> None:
    """With the whole split as one batch, one part of 64 of 64 rows or two of 32 give the same gradient."""
    options = ["train.steps=1", "backbone.dropout=0", "data.train=val", "train.checkpoint_every=1"]
    pretrain(recipe, output=tmp_path / "one", overrides=[*options, "train.batch_size=200"])
    pretrain(
        recipe, output=tmp_path / "two", overrides=[*options, "train.batch_size=200", "train.accumulate=2"]
    )
    one, two = losses(tmp_path / "one")[0], losses(tmp_path / "two")[0]
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
    assert one["grad_norm"] == pytest.approx(two["grad_norm"], rel=1e-4)


@pytest.mark.parametrize(("backbone", "random"), [("transformer", False), ("particle_transformer", True)])
def test_batch_normalisation_sees_random_draws_in_place_of_rows_of_one_length(
    recipe: Values, backbone: str, random: bool
) -> None:
    changes = {"backbone": {"name": backbone, "size": "xs"}, "train": {"accumulate": 4, "batch_size": 256}}
    values = {**merge(recipe, changes), "backbone": changes["backbone"]}
    loader = Pretraining.check(read_pretrain_recipe(values)).job(World(0, 1, torch.device("cpu"))).train
    batches = itertools.islice(loader, 4)
    spread = np.std([float(batch.mask_BN.sum(1).float().mean()) for batch in batches])
    assert (spread < 2.0) == random


def test_a_batch_that_cannot_be_shared_is_refused(recipe: Values, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose a multiple of 3"):
        pretrain(recipe, output=tmp_path / "run", overrides=["train.accumulate=3"])


def broken_loss(value: float, step: int) -> Any:
    """Return a loss that has another value from some call on."""
    original, calls = Supervised.loss, []

    def broken(self: Supervised, network: Network, outputs: Any, draws: Any) -> Loss:
        loss = original(self, network, outputs, draws)
        calls.append(1)
        if not self.training or len(calls) <= step:
            return loss
        return Loss({name: replace(term, total=term.total * value) for name, term in loss.terms.items()})

    return broken


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_step_rows_and_checkpoint(
    recipe: Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.setattr(Supervised, "loss", broken_loss(value, 6))
    with pytest.raises(TrainingError) as error:
        pretrain(recipe, output=tmp_path / "run")
    failure = read_json(tmp_path / "run" / "failure.json")
    assert f"at step {failure['step']} the loss is {value}" in str(error.value)
    assert str(failure["rows"][0]) in str(error.value)
    assert len(failure["rows"]) == 64
    assert "step-00000004" in str(error.value)
    assert all(line["step"] <= failure["step"] for line in losses(tmp_path / "run"))


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": {"name": "masked", "fraction": 0.3}, "data": {"max_constituents": 1}},
        {"objective": "supervised_contrastive", "train": {"batch_size": 1}},
    ],
    ids=["nothing to hide", "no other row"],
)
def test_a_run_in_which_nothing_can_be_learned_stops(
    changes: dict[str, Any], recipe: Values, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="8 steps in a row without a gradient, up to step 8: no row has"):
        pretrain(merge(recipe, changes), output=tmp_path / "run")


def test_a_step_without_a_gradient_among_others_is_no_error(
    recipe: Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Supervised.loss, itertools.count()

    def loss(self: Supervised, *arguments: Any) -> Loss:
        found = real(self, *arguments)
        if next(calls) % 2:
            return found
        return Loss({name: replace(term, total=0.0 * term.total) for name, term in found.terms.items()})

    monkeypatch.setattr(Supervised, "loss", loss)
    pretrain(recipe, output=tmp_path / "run")


def test_mistakes_are_found_before_anything_is_written(recipe: Values, tmp_path: Path) -> None:
    for override, error in (
        ("data.train=trian", DataError),
        ("data.features=kim", ConfigError),
        ("train.stepz=3", ConfigError),
    ):
        with pytest.raises(error, match="did you mean"):
            pretrain(recipe, output=tmp_path / "run", overrides=[override])
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_overwritten(recipe: Values, tiny_run: Path) -> None:
    with pytest.raises(TrainingError, match="holds a finished run"):
        pretrain(recipe, output=tiny_run)


def test_resuming_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not a run directory"):
        resume(tmp_path)


def test_resuming_with_a_changed_config_is_refused(recipe: Values, tmp_path: Path) -> None:
    result = pretrain(recipe, output=tmp_path / "run")
    text = (result.path / "config.json").read_text()
    (result.path / "config.json").write_text(text.replace('"seed": 3', '"seed": 4'))
    with pytest.raises(TrainingError, match="was altered"):
        resume(result.path)


def test_resuming_without_its_store_or_with_another_at_its_place_is_refused(
    recipe: Values, tmp_path: Path, jet_columns: Any
) -> None:
    path = tmp_path / "jets"

    def write(seed: int) -> None:
        parts = [("train", jet_columns(100, seed=seed)), ("val", jet_columns(20, seed=seed))]
        write_store(path, jet_schema(JETCLASS_CLASSES), parts, provenance={})

    write(1)
    result = pretrain(merge(recipe, {"data": {"store": str(path)}}), output=tmp_path / "run")
    shutil.rmtree(path)
    with pytest.raises(DataError, match=r"run/config.json: no store at .*jets"):
        resume(result.path)
    write(2)
    with pytest.raises(TrainingError, match=r"the store of .* is not the one it was trained on"):
        resume(result.path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_is_refused_where_there_is_none(recipe: Values, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.device=cpu or train\.device=auto"):
        pretrain(recipe, output=tmp_path / "run", overrides=["train.device=cuda"])


def test_bfloat16_trains_close_to_float32(recipe: Values, tmp_path: Path) -> None:
    options = ["backbone.dropout=0", "train.steps=4"]
    pretrain(recipe, output=tmp_path / "full", overrides=options)
    pretrain(recipe, output=tmp_path / "half", overrides=[*options, "train.precision=bfloat16"])
    full, half = losses(tmp_path / "full"), losses(tmp_path / "half")
    assert full != half
    for one, other in zip(full, half, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=0.02)


def test_a_dry_run_writes_nothing_and_counts_weights(recipe: Values, tmp_path: Path) -> None:
    cost = dry_run(recipe)
    assert cost.parameters == cost.trained_parameters > 0
    assert cost.validation_seconds > 0
    assert cost.rows_per_s * cost.seconds_per_step == pytest.approx(64)
    assert cost.total_seconds == pytest.approx(8 * cost.seconds_per_step + 2 * cost.validation_seconds)
    assert cost.loss == pytest.approx(2.3, abs=1.5)
    assert list(tmp_path.iterdir()) == []
    assert any("weights" in line for line in cost.lines())


def test_smoke_shrinks_any_recipe(recipe: Values, tmp_path: Path) -> None:
    long = merge(recipe, parse_override("train.steps=1000000"))
    result = pretrain(long, output=tmp_path / "run", smoke=True)
    assert losses(result.path)[-1]["step"] == 6


def test_tensorboard_gets_the_metrics(recipe: Values, tmp_path: Path) -> None:
    event_file = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    pretrain(recipe, output=tmp_path / "run", overrides=["train.trackers=[tensorboard]"])
    events = event_file.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    logged = [event.value for event in events.Scalars("train/loss")]
    expected = [line["loss"] for line in losses(tmp_path / "run") if line["kind"] == "train"]
    assert logged == pytest.approx(expected, rel=1e-6)


def test_a_run_at_which_another_process_works_is_refused(recipe: Values, tmp_path: Path) -> None:
    result = pretrain(recipe, output=tmp_path / "run")
    with (
        locked(tmp_path / "run" / LOCK, refusal="busy"),
        pytest.raises(
            HepfmError, match=r"another process is at work in .*run; wait for it .*\(process \d+ on "
        ),
    ):
        resume(result.path)
    resume(result.path)


@pytest.mark.parametrize(
    "line", ["{", "[]", "3", '{"kind": "train"}', '{"kind": 1, "step": 1}', '{"kind": "train", "step": "1"}']
)
def test_damaged_metrics_name_the_line(recipe: Values, tmp_path: Path, line: str) -> None:
    result = pretrain(recipe, output=tmp_path / "run")
    metrics = result.path / "metrics.jsonl"
    metrics.write_text(f"{metrics.read_text()}{line}\n")
    number = len(metrics.read_text().splitlines())
    with pytest.raises(TrainingError, match=rf"metrics.jsonl is damaged in line {number}"):
        resume(result.path)
