"""Starts that fail leave nothing in the way of the corrected call, and what messages advise works."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hepfm.core.config import merge, parse_override
from hepfm.core.errors import ConfigError, DataError, HepfmError, TrainingError
from hepfm.objectives.supervised import Supervised
from hepfm.simulate import run as simulate_module
from hepfm.simulate.run import simulate
from hepfm.train.finetune import finetune
from hepfm.train.loop import Trainer
from hepfm.train.pretrain import pretrain
from hepfm.train.recipe import read_finetune_recipe, read_pretrain_recipe
from hepfm.train.resume import resume
from hepfm.train.tokenize import tokenize

Values = dict[str, Any]

UNFIT = ["train.batch_size=63", "train.accumulate=2"]
"""What only the loader finds out."""


def leaves_nothing(folder: Path) -> bool:
    return not folder.exists() or not any(folder.iterdir())


def test_a_refused_pretraining_leaves_nothing(recipe: Values, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose a multiple of 2"):
        pretrain(recipe, output=tmp_path / "runs" / "run", overrides=UNFIT)
    assert leaves_nothing(tmp_path / "runs")
    assert pretrain(recipe, output=tmp_path / "runs" / "run", overrides=["train.steps=1"]).model_path.exists()


@pytest.mark.parametrize(
    "bad", [UNFIT, ["objective={name: supervised, head: {name: class_token, num_heads: 3}}"]]
)
def test_a_refused_fine_tuning_leaves_nothing(
    finetune_recipe: Values, tiny_run: Path, tmp_path: Path, bad: list[str]
) -> None:
    """Parts of a batch that do not divide it, and a head that does not divide the width."""
    with pytest.raises(HepfmError):
        finetune(tiny_run / "model", finetune_recipe, output=tmp_path / "runs" / "run", overrides=bad)
    assert leaves_nothing(tmp_path / "runs")


@pytest.mark.parametrize(
    "bad", [{"split": "tset"}, {"store": "nowhere"}, {"classifier": "nowhere"}, {"overrides": UNFIT}]
)
def test_a_refused_tokenizer_leaves_nothing(recipe: Values, tmp_path: Path, bad: Values) -> None:
    objective = {"name": "tokenize", "tokenizer": {"name": "kmeans", "codes": 16}}
    values = {**recipe, "backbone": "none", "objective": objective}
    with pytest.raises(HepfmError):
        tokenize(values, output=tmp_path / "runs" / "run", **bad)
    assert leaves_nothing(tmp_path / "runs")


def test_a_refused_simulation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"kind": "showers", "showers": {"train": 4, "val": 2, "test": 2}, "energy": {"min": 1, "max": 2}}

    def refuse(*_: Any) -> Any:
        raise DataError("the generator cannot start")

    with monkeypatch.context() as patch:
        patch.setattr(simulate_module, "run_chunks", refuse)
        with pytest.raises(DataError, match="cannot start"):
            simulate(values, output=tmp_path / "made" / "store", processes=1)
    assert leaves_nothing(tmp_path / "made")
    corrected = merge(values, {"energy": {"max": 3}})
    assert simulate(corrected, output=tmp_path / "made" / "store", processes=1).rows["train"] == 4


def test_a_failure_before_the_first_checkpoint_is_told_and_not_in_the_way(
    recipe: Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise TrainingError("the loss is nan")

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", fail)
        with pytest.raises(TrainingError, match="the loss is nan"):
            pretrain(recipe, output=tmp_path / "run")
    with pytest.raises(TrainingError, match=r"failed at its start: the loss is nan\nStart it anew"):
        resume(tmp_path / "run")
    result = pretrain(recipe, output=tmp_path / "run", overrides=["train.steps=2"])
    assert json.loads((result.path / "config.json").read_text())["train"]["steps"] == 2
    assert not (result.path / "failed.json").exists()


def test_a_stopped_or_finished_run_is_not_replaced(
    recipe: Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Supervised, "after_step", stop)
        with pytest.raises(KeyboardInterrupt):
            pretrain(recipe, output=tmp_path / "run")
    with pytest.raises(TrainingError, match="go on with `hepfm resume"):
        pretrain(recipe, output=tmp_path / "run")
    resume(tmp_path / "run")
    with pytest.raises(TrainingError, match="holds a finished run"):
        pretrain(recipe, output=tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match="not empty and no run directory"):
        pretrain(recipe, output=tmp_path / "other")


def test_a_failure_after_a_checkpoint_is_gone_on_with(
    recipe: Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Trainer.train_step

    def fail_late(self: Trainer, batches: Any) -> dict[str, float]:
        if self.step == 5:
            raise TrainingError("no room left")
        return original(self, batches)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", fail_late)
        with pytest.raises(TrainingError, match="no room left"):
            pretrain(recipe, output=tmp_path / "run")
    with pytest.raises(TrainingError, match="go on with `hepfm resume"):
        pretrain(recipe, output=tmp_path / "run")
    assert resume(tmp_path / "run").model_path.exists()


def test_the_advice_after_a_divergence_works(recipe: Values, tmp_path: Path) -> None:
    """The recipe names no optimizer, as most do not."""
    values = {**recipe, "train": {key: value for key, value in recipe["train"].items() if key != "optimizer"}}
    ruin = ["train.optimizer.lr=1e38", "train.schedule=constant", "train.checkpoint_every=1000"]
    with pytest.raises(TrainingError, match=r"Lower train\.optimizer\.lr") as told:
        pretrain(values, output=tmp_path / "run", overrides=ruin)
    key = re.search(r"Lower (\S+),? ", str(told.value))
    assert key is not None
    lower = f"{key[1].rstrip(',')}=1e-4"
    result = pretrain(values, output=tmp_path / "run", overrides=[lower, "train.steps=1"])
    optimizer = json.loads((result.path / "config.json").read_text())["train"]["optimizer"]
    assert (optimizer["name"], optimizer["lr"]) == ("adamw", 1e-4)


@pytest.mark.parametrize(
    ("override", "place", "name"),
    [
        ("train.optimizer.lr=1e-4", ("train", "optimizer"), "adamw"),
        ("train.schedule.warmup=0.2", ("train", "schedule"), "cosine"),
        ("objective.label_smoothing=0.1", ("objective",), "supervised"),
    ],
)
@pytest.mark.parametrize("verb", ["pretrain", "finetune"])
def test_options_of_a_component_that_the_recipe_does_not_name(
    recipe: Values, verb: str, override: str, place: tuple[str, ...], name: str
) -> None:
    values = {"data": {"store": "x"}, "train": {"steps": 1}}
    if verb == "pretrain":
        full = merge({**values, "backbone": recipe["backbone"]}, parse_override(override))
        found = read_pretrain_recipe(full).model_dump(mode="json")
    else:
        found = read_finetune_recipe(merge(values, parse_override(override))).model_dump(mode="json")
    for key in place:
        found = found[key]
    key, _, text = override.partition("=")
    assert found["name"] == name
    assert found[key.rpartition(".")[2]] == pytest.approx(float(text))


def test_options_of_a_head_that_the_recipe_does_not_name(
    finetune_recipe: Values, tiny_run: Path, tmp_path: Path
) -> None:
    options = ["objective.head.dropout=0.2", "train.steps=1", "early_stopping=null"]
    result = finetune(tiny_run / "model", finetune_recipe, output=tmp_path / "run", overrides=options)
    heads = json.loads((result.model_path / "config.json").read_text())["heads"]
    assert heads["jet_label"]["name"] == "classify"
    assert heads["jet_label"]["dropout"] == pytest.approx(0.2, abs=1e-4)
