"""The line ``next:`` of every verb is run as it is printed, and so are the words of completion."""

from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from hepfm.backbones import BACKBONES
from hepfm.cli import main
from hepfm.cli.doctor import CORE, extras
from hepfm.core.config import resolve_component
from hepfm.data.store import Store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_jets: Store, small_recipe: Path) -> Path:
    """A working directory with a space in its name, and in it a recipe and a link to a store."""
    folder = tmp_path / "my work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "jets").symlink_to(few_jets.path)
    (folder / "my recipe.yaml").write_text(small_recipe.read_text())
    return folder


def following(result) -> str:
    """Return the command of the line ``next:``."""
    assert result.exit_code == 0, result.output
    line = result.stdout.splitlines()[-1]
    assert line.startswith("next: hepfm "), result.stdout
    return line.removeprefix("next: hepfm ")


SMALL = ("my recipe.yaml", "-o", "run")
TOKENS = "objective={name: tokenize, tokenizer: {name: kmeans, codes: 8}}"
ALL_ROWS = ("data.store=jets", "data.budget=40", "early_stopping=null", "data.validation_fraction=0")
CHAINS = {
    "pretrain": [("pretrain", *SMALL)],
    "pretrain, then resume": [("pretrain", *SMALL), ("resume", "run")],
    "pretrain, then show the run": [("pretrain", *SMALL), ("show", "run")],
    "finetune": [
        ("pretrain", *SMALL),
        ("finetune", "run", "demo", *ALL_ROWS, "train.steps=2", "train.batch_size=8", "-o", "my tuned"),
    ],
    "a generator": [
        ("pretrain", *SMALL, "objective=flow_matching", "data.context=jet", "data.features=massless")
    ],
    "without a head": [("pretrain", *SMALL, "objective=masked")],
    "tokenize": [("tokenize", *SMALL, TOKENS, "backbone=none")],
    "ingest": [("data", "export", "jets", "-o", "some jets.parquet"), ("ingest", "jetclass")],
    "data export": [("data", "export", "jets", "-o", "some jets.parquet")],
    "data info": [("data", "info", "jets")],
    "data check": [("data", "check", "jets")],
    "list": [("list",)],
    "list of a kind": [("list", "backbones")],
    "list of recipes": [("list", "recipes")],
    "show a store": [("show", "jets")],
    "show a recipe": [("show", "pretrain", "demo")],
    "doctor": [("doctor",)],
    "dry run": [("pretrain", *SMALL, "train.steps=3", "--dry-run", "--smoke")],
}


@pytest.mark.parametrize("name", [name for name in CHAINS if name not in ("ingest", "doctor")])
def test_the_next_command_works_as_it_is_printed(here: Path, call, name: str) -> None:
    for arguments in CHAINS[name]:
        result = call(*arguments)
    done = call(*shlex.split(following(result)))
    assert done.exit_code == 0, (following(result), done.output)


def test_a_dry_run_keeps_everything(here: Path, call) -> None:
    result = call("pretrain", *SMALL, "train.steps=3", "seed=4", "--dry-run", "--smoke")
    assert following(result) == "pretrain 'my recipe.yaml' train.steps=3 seed=4 -o run --smoke"
    assert call(*shlex.split(following(result))).exit_code == 0
    assert json.loads((here / "run" / "config.json").read_text())["seed"] == 4
    result = call("finetune", "run/model", "demo", *ALL_ROWS, "--smoke", "--dry-run")
    assert following(result) == f"finetune run/model demo {' '.join(ALL_ROWS)} --smoke"


def test_a_model_is_evaluated_on_its_own_task(here: Path, call) -> None:
    result = call("pretrain", *SMALL)
    assert following(result).startswith("evaluate run/model --on jetclass --store ")


def test_a_finished_run_is_not_resumed_and_a_stopped_one_is(here: Path, call, small_run: Path) -> None:
    call("pretrain", *SMALL)
    assert "resume" not in following(call("show", "run"))
    (here / "run" / "model").rename(here / "elsewhere")
    assert following(call("show", "run")) == "resume run"


def test_a_run_means_its_model(here: Path, call) -> None:
    call("pretrain", *SMALL)
    for verb in (
        ("predict", "run", "jets", "-o", "scores.arrow"),
        ("check", "run"),
        ("evaluate", "run", "--on", "jetclass", "--store", "jets", "-o", "result"),
    ):
        done = call(*verb)
        assert done.exit_code == 0, done.output
    (here / "run" / "model").rename(here / "elsewhere")
    done = call("predict", "run", "jets", "-o", "again.arrow")
    assert done.exit_code == 2
    assert "is a run without a model yet; go on with `hepfm resume run`" in done.output


@pytest.mark.parametrize(
    "kind", ["backbone", "backbones", "task", "tasks", "recipe", "recipes", "feature_sets"]
)
def test_kinds_in_the_singular_and_the_plural(call, kind: str) -> None:
    done = call("list", kind)
    assert done.exit_code == 0, done.output
    assert call("list", kind.removesuffix("s")).output == done.output


def test_a_recipe_file_is_shown_over_its_base(here: Path, call) -> None:
    (here / "mine.yaml").write_text("base: jetclass_supervised\nseed: 77\n")
    for path, words in (("my recipe.yaml", "depth: 1"), ("mine.yaml", "seed: 77")):
        done = call("show", path)
        assert done.exit_code == 0, done.output
        assert words in done.output
    assert "no recipe file nowhere.yaml" in call("show", "nowhere.yaml").output


def test_the_size_that_a_backbone_took_is_told(here: Path, call) -> None:
    done = call(
        "pretrain", *SMALL, "backbone=pet", "data.features=pet", "train.steps=1", "train.batch_size=4"
    )
    assert "backbone pet (size s), " in done.stderr, done.output
    for spec, described in {
        "pet": "pet (size s)",
        "transformer": resolve_component(BACKBONES, "transformer", where="test").described(),
    }.items():
        assert resolve_component(BACKBONES, spec, where="test").described() == described
    own = resolve_component(BACKBONES, {"name": "transformer", "size": "xs", "width": 24}, where="test")
    assert own.described() == "transformer"


def test_the_doctor_knows_every_extra(call) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    expected = project["optional-dependencies"]
    found = extras()
    assert set(found) == {CORE, *expected} - {"all", "docs"}
    for name in set(found) - {CORE}:
        assert len(found[name]) == len(expected[name])
    assert set(json.loads(call("doctor", "--json").output)["extras"]) == set(found)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pre", {"predict", "pretrain"}),
        ("list back", {"backbone"}),
        ("show backbone p", {"particle_transformer", "particlenet", "pet", "post_norm_transformer"}),
        ("show pretrain dem", {"demo"}),
        ("pretrain dem", {"demo"}),
        ("finetune model top_tag", {"top_tagging"}),
        ("simulate top", {"top_tagging"}),
        ("pretrain demo train.st", {"train.steps="}),
        ("evaluate model --on top", {"top_tagging"}),
        ("ingest jetc", {"jetclass"}),
        ("convert weav", {"weaver"}),
        ("predict a b --device c", {"cpu", "cuda"}),
    ],
)
def test_completion(line: str, words: set[str]) -> None:
    *before, incomplete = line.split()
    completion = ShellComplete(main.group, {}, "hepfm", "_HEPFM_COMPLETE")
    found = completion.get_completions(before, incomplete)
    assert {item.value for item in found if item.type == "plain"} == words
