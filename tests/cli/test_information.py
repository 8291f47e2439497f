"""``list``, ``show`` and ``doctor`` say what there is."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

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
            assert json.loads(run("show", name, "--json"))["values"]


@pytest.mark.parametrize("verb", ["simulate", "pretrain", "finetune"])
def test_recipes_are_listed_and_shown(verb: str) -> None:
    listed = json.loads(run("list", "recipes", "--json"))["kinds"]["recipes"]
    for name in builtin_recipes(verb):
        assert listed[f"{verb} {name}"], "a recipe says what it is for"
        assert json.loads(run("show", name, "--json"))["values"]


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
