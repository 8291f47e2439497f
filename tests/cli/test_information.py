"""``list``, ``show`` and ``doctor`` say what there is."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import hepfm
from hepfm.cli.listing import registries
from hepfm.cli.main import group
from hepfm.core.config import builtin_recipes
from hepfm.data.store import Store


def run(*arguments: str) -> str:
    result = CliRunner().invoke(group, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_every_row_of_every_registry_is_listed_and_shown() -> None:
    listed = json.loads(run("list", "--json"))["kinds"]
    for kind, registry in registries().items():
        assert listed[kind].keys() == registry.entries().keys()
        for name in registry:
            assert registry.load(name) is not None
            assert json.loads(run("show", kind, name, "--json"))["kind"] == kind


@pytest.mark.parametrize("kind", ["study", "studies"])
def test_recipes_of_a_verb_are_listed(kind: str) -> None:
    found = json.loads(run("list", kind, "--json"))
    assert found["kinds"] == {
        "study": {
            name: text
            for name, text in json.loads(run("list", "recipes", "--json"))["kinds"]["recipes"].items()
            if name.startswith("study ")
        }
    }
    assert found["next"] == f"hepfm show {next(iter(found['kinds']['study']))}"


def test_every_registry_of_the_package_is_listed() -> None:
    package = Path(hepfm.__file__).parent
    found = [re.findall(r'= Registry\(\s*"(\w+)"', path.read_text()) for path in package.rglob("*.py")]
    assert sorted(kind for kinds in found for kind in kinds) == sorted(registries())


def test_a_name_of_several_kinds_is_told_apart() -> None:
    shown = json.loads(run("show", "top_tagging", "--json"))
    assert shown["kind"] == "simulate recipe"
    assert shown["also"] == ["hepfm show finetune top_tagging", "hepfm show task top_tagging",
                             "hepfm show reader top_tagging"]  # fmt: skip
    for command in shown["also"]:
        kind = command.split()[2]
        assert json.loads(run(*command.split()[1:], "--json"))["kind"].split()[0] == kind
    for arguments, hint in (
        (["backbon", "transformer"], "did you mean 'backbone'"),
        (["backbone", "vqvae"], "nothing is called 'backbone vqvae'"),
        (["a", "b", "c"], "give one NAME"),
    ):
        result = CliRunner().invoke(group, ["show", *arguments])
        assert result.exit_code == 2
        assert hint in result.output


@pytest.mark.parametrize("verb", ["simulate", "pretrain", "finetune"])
def test_recipes_are_listed_and_shown(verb: str) -> None:
    listed = json.loads(run("list", "recipes", "--json"))["kinds"]["recipes"]
    for name in builtin_recipes(verb):
        assert listed[f"{verb} {name}"], "a recipe says what it is for"
        assert json.loads(run("show", verb, name, "--json"))["values"]


def test_show_a_store(jet_store: Store) -> None:
    shown = json.loads(run("show", str(jet_store.path), "--json"))
    assert shown["kind"] == "store"
    assert shown["next"] == f"hepfm data check {jet_store.path}"


def test_what_is_not_there_is_suggested(tmp_path: Path) -> None:
    for arguments, hint in ((("show", "transfomer"), "'transformer'"), (("list", "backbon"), "'backbone'")):
        result = CliRunner().invoke(group, list(arguments))
        assert result.exit_code == 2
        assert f"did you mean {hint}" in result.output
    result = CliRunner().invoke(group, ["show", str(tmp_path)])
    assert result.exit_code == 2
    assert "neither a store, a model nor a run" in result.output


def test_doctor_names_versions_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from hepfm.cli import doctor

    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "onnx" else real(name))
    report = json.loads(run("doctor", "--json"))
    assert report["extras"]["core"]["torch"] == torch.__version__
    assert any("missing onnx: pip install 'hepfm[onnx]'" in line for line in report["lines"])
