"""Recipes: every mistake is named at once, with a suggestion."""

import pytest

from hepfm.core.config import (
    Config,
    fingerprint,
    load_recipe,
    merge,
    parse_override,
    read_yaml,
    resolve_component,
    validate,
)
from hepfm.core.errors import ConfigError
from hepfm.core.registry import Registry


class Inner(Config):
    learning_rate: float = 1e-3
    steps: int


class Outer(Config):
    inner: Inner
    seed: int = 0


class Part:
    """A component with sizes, for the tests."""

    class Config(Config):
        width: int = 8
        depth: int = 1

    sizes = {"s": {"width": 16, "depth": 2}, "m": {"width": 32, "depth": 4}}  # noqa: RUF012


PARTS = Registry("part", {"part": ("test_config:Part", "a part")})


@pytest.fixture(autouse=True)
def importable(monkeypatch, request):
    """Make this module importable under the name that the registry uses."""
    import sys

    monkeypatch.setitem(sys.modules, "test_config", sys.modules[__name__])


def test_all_mistakes_at_once_with_suggestions():
    with pytest.raises(ConfigError) as caught:
        validate(Outer, {"inner": {"learning_rat": 1, "steps": "ten"}, "sed": 3}, where="recipe")
    message = str(caught.value)
    assert "unknown key 'inner.learning_rat'; did you mean 'learning_rate'?" in message
    assert "'inner.steps': Input should be a valid integer" in message
    assert "got 'ten'" in message
    assert "unknown key 'sed'; did you mean 'seed'?" in message


def test_missing_key_is_named():
    with pytest.raises(ConfigError, match=r"'inner\.steps' is missing"):
        validate(Outer, {"inner": {}}, where="recipe")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "fast", None, [1]])
def test_bad_numbers_are_refused(value):
    with pytest.raises(ConfigError, match="learning_rate"):
        validate(Inner, {"steps": 1, "learning_rate": value}, where="recipe")


def test_not_a_mapping():
    with pytest.raises(ConfigError, match="expected keys and values, got 3"):
        validate(Inner, 3, where="recipe: train")


def test_configs_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Inner(steps=1).steps = 2


def test_component_by_name_and_by_mapping():
    assert resolve_component(PARTS, "part", where="recipe").config.width == 8
    sized = resolve_component(PARTS, {"name": "part", "size": "m", "depth": 3}, where="recipe")
    assert (sized.config.width, sized.config.depth) == (32, 3)
    assert resolve_component(PARTS, sized.spec(), where="again").config == sized.config


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("prat", "unknown part 'prat'; did you mean 'part'?"),
        ({"name": "part", "size": "xl"}, "unknown size 'xl'"),
        ({"name": "part", "widht": 3}, "did you mean 'width'?"),
        ({"width": 3}, "expected the name of a part"),
        (None, "expected the name of a part"),
    ],
)
def test_bad_component_specs(spec, message):
    with pytest.raises(ConfigError) as caught:
        resolve_component(PARTS, spec, where="recipe")
    assert message in str(caught.value)


def test_overrides_nest_and_read_yaml_values():
    assert parse_override("a.b.c=[1, 2.5, x]") == {"a": {"b": {"c": [1, 2.5, "x"]}}}
    assert parse_override("a=") == {"a": None}
    assert parse_override("a=1e-4") == {"a": 1e-4}
    assert parse_override("a=no") == {"a": "no"}, "YAML 1.2: no is text"


@pytest.mark.parametrize("text", ["a", "=1", "a..b=1", "a=[1"])
def test_bad_overrides(text):
    with pytest.raises(ConfigError, match="cannot read"):
        parse_override(text)


def test_another_component_replaces_the_old_one_whole():
    base = {"backbone": {"name": "a", "x": 1}}
    assert merge(base, {"backbone": {"name": "b"}}) == {"backbone": {"name": "b"}}
    assert merge(base, {"backbone": {"name": "a", "y": 2}}) == {"backbone": {"name": "a", "x": 1, "y": 2}}
    assert merge({"backbone": "a"}, {"backbone": {"x": 1}}) == {"backbone": {"name": "a", "x": 1}}


def test_base_is_one_level(tmp_path):
    (tmp_path / "root.yaml").write_text("seed: 1\ntrain: {steps: 5, lr: 1e-3}\n")
    (tmp_path / "child.yaml").write_text("base: root\ntrain: {steps: 7}\n")
    (tmp_path / "grandchild.yaml").write_text("base: child\n")
    values = load_recipe(tmp_path / "child.yaml", "pretrain", ["seed=2"])
    assert values == {"seed": 2, "train": {"steps": 7, "lr": 1e-3}}
    with pytest.raises(ConfigError, match="one level"):
        load_recipe(tmp_path / "grandchild.yaml", "pretrain")


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "a: 1\na: 2\n", ""])
def test_files_that_are_no_recipe(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        read_yaml(path)


def test_missing_and_unknown_recipes(tmp_path):
    with pytest.raises(ConfigError, match="no recipe file"):
        load_recipe(tmp_path / "none.yaml", "pretrain")
    with pytest.raises(ConfigError, match="did you mean 'jetclass'"):
        load_recipe("jetclas", "simulate")


def test_fingerprint_ignores_key_order():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
