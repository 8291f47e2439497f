"""Models of the package: found by name, in half the room, complete, and small enough for a wheel."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from test_directory import make_model

from hepfm.cli.main import group
from hepfm.core.errors import ModelError
from hepfm.models import pretrained as module
from hepfm.models.check import check
from hepfm.models.directory import Model
from hepfm.models.folder import place_of
from hepfm.models.pretrained import pretrained_models

LARGEST = 25 * 2**20
"""Bytes of all of them together."""


@pytest.fixture
def tiny_model() -> Model:
    return make_model()


@pytest.fixture
def named(tiny_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which one model of the package lies."""
    tiny_model.provenance = {
        **tiny_model.provenance,
        "summary": "a model of a test",
        "notes": {"Limits": "All."},
    }
    tiny_model.save(tmp_path / "tiny-xs", half=True)
    monkeypatch.setattr(module, "pretrained_models", lambda: {"tiny-xs": tmp_path / "tiny-xs"})
    return tmp_path / "tiny-xs"


def test_a_model_of_the_package_is_found_by_its_name(named: Path) -> None:
    loaded = Model.load("hepfm:tiny-xs")
    assert check("hepfm:tiny-xs")
    assert "## Limits\n\nAll." in (named / "card.md").read_text()
    assert all(parameter.dtype == torch.float32 for parameter in loaded.network.parameters())
    with pytest.raises(ModelError, match=r"hepfm:tiny-s: the package has no model 'tiny-s'; did you mean"):
        Model.load("hepfm:tiny-s")


def test_half_takes_half_the_room_and_is_what_the_fixture_was_made_with(
    tiny_model: Model, named: Path, tmp_path: Path
) -> None:
    tiny_model.save(tmp_path / "whole")
    sizes = [(path / "model.safetensors").stat().st_size for path in (named, tmp_path / "whole")]
    assert sizes[0] < 0.7 * sizes[1]
    for name, parameter in Model.load(named).network.named_parameters():
        assert torch.equal(parameter, parameter.half().float()), name


def test_a_parameter_beyond_half_is_refused(tiny_model: Model, tmp_path: Path) -> None:
    with torch.no_grad():
        next(tiny_model.network.parameters()).fill_(1e6)
    with pytest.raises(ModelError, match="beyond the range of float16"):
        tiny_model.save(tmp_path / "model", half=True)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "model"], "hepfm:tiny-xs  a model of a test"),
        (["list", "models"], "hepfm:tiny-xs"),
        (["show", "hepfm:tiny-xs"], "format_version"),
        (["check", "hepfm:tiny-xs"], "as it was saved"),
    ],
)
def test_verbs_know_them(named: Path, arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(group, arguments)
    assert done.exit_code == 0, done.output
    assert words in done.output


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ("hepfm:tiny-xs", "tiny-xs"),
        ("hf://owner/tagger@v1", "tagger"),
        ("runs/a/model", "runs/a/model"),
    ],
)
def test_results_lie_beside_a_model_or_by_its_name(model: str, place: str) -> None:
    assert place_of(model) == Path(place)


def test_they_fit_into_a_wheel() -> None:
    files = [file for path in pretrained_models().values() for file in path.iterdir()]
    assert sum(file.stat().st_size for file in files) <= LARGEST


@pytest.mark.parametrize("name", pretrained_models())
def test_each_computes_what_it_computed_and_says_what_it_is(name: str) -> None:
    check(f"hepfm:{name}")
    card = (pretrained_models()[name] / "card.md").read_text()
    assert module.summaries()[f"hepfm:{name}"]
    assert "## Label efficiency" in card
    assert "## Limits" in card
