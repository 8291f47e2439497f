"""Recipes: every mistake at once, and the resolved config is read as the same recipe again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hepfm.core.config import builtin_recipes, load_recipe, merge, parse_override
from hepfm.core.errors import ConfigError, HepfmError
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.train.joint_recipe import read_either_recipe
from hepfm.train.pretrain import pretrain
from hepfm.train.recipe import read_finetune_recipe, read_pretrain_recipe


@pytest.fixture
def kinematic_store(jet_store: Store, tmp_path: Path) -> Store:
    """Jets without charge, type and impact parameters, as in the top-tagging set."""
    schema = jet_schema(JETCLASS_CLASSES, identity=False, tracks=False)
    splits = [(name, jet_store.read(schema.names(), jet_store.split(name))) for name in ("train", "val")]
    return Store.open(write_store(tmp_path / "kinematic", schema, splits, provenance={}))


def test_the_resolved_config_is_read_as_the_same_recipe(recipe: dict[str, Any]) -> None:
    read = read_pretrain_recipe(recipe)
    again = read_pretrain_recipe(read.model_dump(mode="json"))
    assert again == read
    assert again.backbone.config == read.backbone.config


def test_every_mistake_is_reported_at_once(recipe: dict[str, Any]) -> None:
    for override in (
        "data.stor=x",
        "backbone.widht=3",
        "train.stepz=5",
        "train.batch_size=-1",
        "train.optimizer.name=adamv",
        "objective.label_smoothing=2",
        "train.trackers=[tensorbord]",
    ):
        recipe = merge(recipe, parse_override(override))
    with pytest.raises(ConfigError) as error:
        read_pretrain_recipe(recipe, where="r.yaml")
    message = str(error.value)
    for words in (
        "'store'",
        "'width'",
        "'steps'",
        "batch_size",
        "'adamw'",
        "label_smoothing",
        "'tensorboard'",
    ):
        assert words in message, message


def test_a_missing_section_is_named() -> None:
    with pytest.raises(ConfigError) as error:
        read_pretrain_recipe({"data": {"store": "x"}})
    assert "'backbone' is missing" in str(error.value)
    assert "'train' is missing" in str(error.value)


def test_wrong_types_are_refused(recipe: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"train.steps.*got 'many'"):
        read_pretrain_recipe(merge(recipe, parse_override("train.steps=many")))


def test_early_stopping_needs_validation_rows(finetune_recipe: dict[str, Any]) -> None:
    bad = merge(finetune_recipe, parse_override("data.validation_fraction=0"))
    with pytest.raises(ConfigError, match="validation_fraction above 0 or early_stopping=null"):
        read_finetune_recipe(bad)
    assert read_finetune_recipe(merge(bad, {"early_stopping": None})).early_stopping is None


def test_early_stopping_of_pretraining_needs_validation_rows(recipe: dict[str, Any]) -> None:
    assert read_pretrain_recipe(recipe).early_stopping is None
    stopping = merge(recipe, {"early_stopping": {"patience": 3}})
    assert read_pretrain_recipe(stopping).early_stopping.patience == 3
    with pytest.raises(ConfigError, match=r"set data\.validation to a split or early_stopping=null"):
        read_pretrain_recipe(merge(stopping, parse_override("data.validation=null")))


@pytest.mark.parametrize("name", sorted(builtin_recipes("pretrain")))
def test_built_in_pretraining_recipes_are_valid(name: str) -> None:
    assert read_either_recipe(load_recipe(name, "pretrain")).description


@pytest.mark.parametrize("name", sorted(builtin_recipes("finetune")))
def test_built_in_finetuning_recipes_are_valid(name: str) -> None:
    assert read_finetune_recipe(load_recipe(name, "finetune")).description


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"features": "full"}, "needs fields that this store lacks"),
        ({"validation": "vall"}, "vall"),
        ({"weights": "jet_wait"}, "jet_wait"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_a_run_is_made(
    recipe: dict[str, Any], kinematic_store: Store, tmp_path: Path, section: dict[str, str], message: str
) -> None:
    data = {**recipe["data"], "store": str(kinematic_store.path), **section}
    with pytest.raises(HepfmError, match=message):
        pretrain({**recipe, "data": data}, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
