"""The verbs of training on the command line: one after the other, and what they say to mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hepfm.cli.main import group
from hepfm.data.store import Store

RECIPE = """
description: small
data: {{store: "{store}", features: kin}}
backbone: {{name: transformer, width: 16, depth: 1, num_heads: 2}}
train: {{steps: 6, batch_size: 32, validate_every: 3, checkpoint_every: 3, device: cpu}}
"""
FINETUNE = """
data: {{store: "{store}", budget: 60}}
train: {{steps: 4, batch_size: 16, validate_every: 2, device: cpu}}
"""


def call(*arguments: object) -> Result:
    return CliRunner().invoke(group, [str(one) for one in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def folder(jet_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two recipes and a pre-trained run."""
    path = tmp_path_factory.mktemp("verbs")
    (path / "pretrain.yaml").write_text(RECIPE.format(store=jet_store.path))
    (path / "finetune.yaml").write_text(FINETUNE.format(store=jet_store.path))
    done = call("pretrain", path / "pretrain.yaml", "-o", path / "run")
    assert done.exit_code == 0, done.output
    following = f"next: hepfm evaluate {path}/run/model --on jetclass --store {jet_store.path}"
    assert following in done.output
    return path


def test_pretrain_check_finetune_predict_resume(folder: Path, jet_store: Store, tmp_path: Path) -> None:
    model = folder / "run" / "model"
    assert "as it was saved" in call("check", model).output
    tuned = json.loads(
        call("finetune", model, folder / "finetune.yaml", "-o", tmp_path / "ft", "--json").output
    )
    scores = tmp_path / "scores.arrow"
    done = call(
        "predict", tuned["model"], jet_store.path, "-o", scores, "--split", "test", "--observers", "jet_pt"
    )
    assert done.exit_code == 0
    assert scores.exists()
    assert "jet_label_QCD" in done.output
    again = json.loads(call("resume", tmp_path / "ft", "--json").output)
    assert again["model"] == tuned["model"]


def test_dry_runs_print_the_cost_and_write_nothing(folder: Path, tmp_path: Path) -> None:
    for arguments in (
        ("pretrain", folder / "pretrain.yaml"),
        ("finetune", folder / "run" / "model", folder / "finetune.yaml"),
    ):
        done = call(*arguments, "-o", tmp_path / "run", "--dry-run")
        assert done.exit_code == 0
        assert "rows/s" in done.output
        assert "weights" in done.output
    assert not (tmp_path / "run").exists()


def test_overrides_follow_the_recipe(folder: Path, tmp_path: Path) -> None:
    call("pretrain", folder / "pretrain.yaml", "train.steps=2", "seed=9", "-o", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["train"]["steps"], config["seed"]) == (2, 9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pretrain", "jetclass_supervized"), "did you mean"),
        (("pretrain", "{folder}/pretrain.yaml", "train.stepz=3"), "did you mean 'steps'"),
        (("pretrain", "{folder}/pretrain.yaml", "backbone.name=transfromer"), "did you mean 'transformer'"),
        (("pretrain", "{folder}/pretrain.yaml", "data.store=nowhere"), "nowhere"),
        (("finetune", "nowhere", "{folder}/finetune.yaml"), "not a model directory"),
        (("predict", "nowhere", "nowhere", "-o", "x.arrow"), "not a model directory"),
        (("predict", "nowhere", "nowhere", "-o", "x.csv"), ".arrow"),
        (("check", "nowhere"), "not a model directory"),
        (("resume", "nowhere"), "not a run directory"),
    ],
)
def test_mistakes_end_with_code_two_and_a_short_message(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(*(one.format(folder=folder) for one in arguments))
    assert done.exit_code == 2
    assert words in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "runs").exists()
