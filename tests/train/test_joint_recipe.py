"""Recipes with domains: every mistake is said at once, before anything is written, with the domain's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from hepfm.cli.main import group
from hepfm.core.config import load_recipe, merge
from hepfm.core.errors import ConfigError, DataError, HepfmError, IncompatibleError
from hepfm.core.files import read_json
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.train.joint_recipe import read_either_recipe, read_joint_recipe
from hepfm.train.pretrain import pretrain
from hepfm.train.recipe import PretrainRecipe
from hepfm.train.tokenize import tokenize

Values = dict[str, Any]
TINY = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}


@pytest.fixture
def values(jet_store: Store, shower_store: Store) -> Values:
    """A joint recipe of jets and showers."""
    flow = {"name": "flow_matching", "generator": {"name": "flow"}}
    return {
        "domains": {
            "showers": {
                "data": {"store": str(shower_store.path), "features": "calo", "max_constituents": 20},
                "objective": flow,
                "weight": 2,
            },
            "jets": {"data": {"store": str(jet_store.path), "features": "kin"}},
        },
        "backbone": TINY,
        "train": {"steps": 2, "batch_size": 8, "accumulate": 1, "device": "cpu", "validation_rows": 16},
    }


def test_a_domain_called_name_is_refused() -> None:
    domains = {"name": {"data": {"store": "a"}}, "b": {"data": {"store": "b"}}}
    with pytest.raises(ConfigError, match="cannot be called 'name'"):
        read_joint_recipe({"domains": domains, "backbone": "transformer", "train": {"steps": 1}})


def test_domains_are_read_with_defaults_in_alphabetical_order(values: Values) -> None:
    recipe = read_joint_recipe(values)
    assert list(recipe.domains) == ["jets", "showers"]
    assert recipe.weights == {"jets": 1.0, "showers": 2.0}
    assert recipe.domains["jets"].objective.name == "supervised"
    assert isinstance(recipe.recipe_of("jets"), PretrainRecipe)
    assert recipe.recipe_of("jets").data.features == "kin"


WRONG = {
    "a key of an ordinary recipe": (
        {"objective": "supervised", "data": {"store": "x"}},
        [
            "'data' belongs to each domain of a joint recipe; move it to domains.NAME.data",
            "'objective' bel",
        ],
    ),
    "an unknown key": ({"trian": {}}, ["unknown key 'trian'; did you mean 'train'?"]),
    "an unknown key of a domain": (
        {"domains": {"jets": {"wieght": 2}}},
        ["unknown key 'domains.jets.wieght'"],
    ),
    "a weight of 0": (
        {"domains": {"jets": {"weight": 0}}},
        ["'domains.jets.weight'", "greater than 0"],
    ),
    "a negative weight": ({"domains": {"jets": {"weight": -1.0}}}, ["'domains.jets.weight'"]),
    "a truth value as weight": ({"domains": {"jets": {"weight": True}}}, ["expected a number, got true"]),
    "an unknown objective": (
        {"domains": {"jets": {"objective": "supervisd"}}},
        ["domains.jets.objective", "did you mean 'supervised'?"],
    ),
    "a name with a dot": ({"domains": {"a.b": {"data": {"store": "x"}}}}, ["'a.b' is no name of a domain"]),
    "shards": ({"train": {"shard": True}}, ["train.shard=true splits one backbone", "set train.shard=false"]),
    "validation of some": (
        {"domains": {"jets": {"data": {"validation": None}}}},
        ["jets: data.validation is null and that of other domains is not"],
    ),
    "stopping without validation": (
        {
            "early_stopping": {},
            "domains": {key: {"data": {"validation": None}} for key in ("jets", "showers")},
        },
        ["early stopping needs validation rows of every domain"],
    ),
    "nothing": ({"domains": None}, ["'domains'"]),
}


@pytest.mark.parametrize(("changes", "said"), WRONG.values(), ids=list(WRONG))
def test_mistakes_are_refused(values: Values, changes: Values, said: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        read_either_recipe(merge(values, changes))
    for text in said:
        assert text in str(error.value)


def test_all_mistakes_are_said_at_once(values: Values) -> None:
    wrong = merge(values, {"data": {}, "seed": -1, "domains": {"jets": {"weight": 0, "grouping": "subjts"}}})
    with pytest.raises(ConfigError) as error:
        read_joint_recipe(wrong)
    text = str(error.value)
    assert all(part in text for part in ("'data' belongs", "'seed'", "domains.jets.weight", "subjts"))


def test_one_domain_is_no_joint_training(values: Values) -> None:
    one = {**values, "domains": {"jets": values["domains"]["jets"]}}
    with pytest.raises(ConfigError, match="two domains at least; for one write an ordinary recipe"):
        read_joint_recipe(one)


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text("domains:\n  jets: {weight: 1}\n  jets: {weight: 2}\n")
    with pytest.raises(ConfigError, match="duplicate key"):
        load_recipe(str(tmp_path / "twice.yaml"), "pretrain")


UNFIT = {
    "particlenet": (
        {"name": "particlenet", "size": "xs"},
        IncompatibleError,
        "cannot be one for several",
    ),
    "none": ("none", IncompatibleError, "choose one that can: transformer, ranked_transformer, "),
    "four-momenta of showers": (
        {"name": "particle_transformer", "size": "xs", "depth": 1},
        IncompatibleError,
        "^domain 'showers': .*four-momenta",
    ),
    "columns of showers": ({"name": "pet", "size": "xs"}, IncompatibleError, "^domain 'showers': "),
}


@pytest.mark.parametrize(("backbone", "kind", "said"), UNFIT.values(), ids=list(UNFIT))
def test_a_backbone_that_does_not_fit_is_refused_with_the_domain(
    values: Values, tmp_path: Path, backbone: Any, kind: type[HepfmError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        pretrain({**values, "backbone": backbone}, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_unfit_objectives_are_refused_of_all_domains_at_once(values: Values, tmp_path: Path) -> None:
    objectives = {"jets": "neutrinos", "showers": "supervised"}
    wrong = {name: {"objective": objective} for name, objective in objectives.items()}
    with pytest.raises(HepfmError) as error:
        pretrain(merge(values, {"domains": wrong}), output=tmp_path / "run")
    assert all(f"domain {name!r}: " in str(error.value) for name in wrong)


def test_a_domain_that_trains_no_backbone_is_refused(values: Values, tmp_path: Path) -> None:
    tokens = {"name": "tokenize", "tokenizer": {"name": "kmeans", "codes": 4}}
    with pytest.raises(HepfmError, match="domain 'jets': objective 'tokenize'"):
        pretrain(merge(values, {"domains": {"jets": {"objective": tokens}}}), output=tmp_path / "run")
    with pytest.raises(ConfigError, match="a recipe with domains trains no tokenizer"):
        tokenize(values, output=tmp_path / "tokens")


@pytest.mark.parametrize("empty", ["train", "val"])
def test_a_domain_without_rows_is_refused(
    values: Values, tmp_path: Path, jet_columns: Any, empty: str
) -> None:
    parts = [(split, jet_columns(0 if split == empty else 20, seed=1)) for split in ("train", "val")]
    write_store(tmp_path / "empty", jet_schema(JETCLASS_CLASSES), parts, provenance={})
    with pytest.raises(DataError, match="domain 'jets': "):
        pretrain(
            merge(values, {"domains": {"jets": {"data": {"store": str(tmp_path / "empty")}}}}),
            output=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_a_store_that_is_not_there_is_named_with_its_domain(values: Values, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="domain 'jets': no store at nowhere"):
        pretrain(
            merge(values, {"domains": {"jets": {"data": {"store": "nowhere"}}}}), output=tmp_path / "run"
        )


def hepfm(*arguments: str, code: int = 0) -> str:
    """Call the command line and return what it prints."""
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_the_command_line_prints_models_and_what_comes_next(values: Values, tmp_path: Path) -> None:
    with (tmp_path / "joint.yaml").open("w") as file:
        YAML().dump(values, file)
    run = tmp_path / "run"
    arguments = ["pretrain", str(tmp_path / "joint.yaml"), "-o", str(run), "domains.jets.weight=3"]
    shown = hepfm(*arguments)
    assert f"model of jets: {run}/models/jets\nmodel of showers: {run}/models/showers" in shown
    assert f"next: hepfm evaluate {run}/models/jets --on jetclass --store " in shown
    assert read_json(run / "config.json")["domains"]["jets"]["weight"] == 3
    assert "model of showers" in hepfm("resume", str(run))
    assert "hepfm evaluate" in hepfm("show", str(run))
    assert "say which" in hepfm("check", str(run), code=2)
    assert "holds a finished run" in hepfm(*arguments, code=2)
