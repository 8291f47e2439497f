"""Configs and recipes: a frozen typed class per component, one shallow YAML 1.2 file, key=value overrides.

A *component spec* in a recipe is a registry name, or a mapping with ``name`` and the component's options::

    backbone: {name: particle_transformer, size: s, dropout: 0.0}
    objective: supervised
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import pydantic
from pydantic import ConfigDict
from pydantic_core import core_schema
from ruamel.yaml import YAML

from hepfm.core.errors import ConfigError, did_you_mean
from hepfm.core.files import read_text
from hepfm.core.registry import Registry


class Config(pydantic.BaseModel):
    """Base of every config: frozen, typed without coercion between kinds, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=False, allow_inf_nan=False, coerce_numbers_to_str=False
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _no_truth_values_as_numbers(cls, values: Any) -> Any:
        """Refuse true for 1, which is a slip in a recipe."""
        for name, field in cls.model_fields.items() if isinstance(values, Mapping) else ():
            if isinstance(values.get(name), bool) and field.annotation in _NUMBERS:
                raise ValueError(f"{name!r}: expected a number, got {str(values[name]).lower()}")
        return values


_NUMBERS = (int, float, int | None, float | None)


ConfigT = TypeVar("ConfigT", bound=pydantic.BaseModel)

_HERE = "\0"
"""Stands for the place of a component in messages, which only the config around it knows."""


@dataclass(frozen=True)
class Component:
    """A component chosen in a recipe: its registry name, its class and its resolved config."""

    name: str
    cls: Any
    config: Config

    @property
    def size(self) -> str | None:
        """Name of the size with these options; None if there are no sizes, or the options differ from all."""
        sizes: Mapping[str, Mapping[str, Any]] = getattr(self.cls, "sizes", {})
        for name, options in sizes.items():
            if validate(type(self.config), options, where=name) == self.config:
                return name
        return None

    def described(self) -> str:
        """Return the name with the size, for messages.

        >>> from hepfm.backbones import BACKBONES
        >>> resolve_component(BACKBONES, "pet", where="here").described()
        'pet (size s)'
        """
        return f"{self.name} (size {self.size})" if self.size else self.name

    def spec(self) -> dict[str, Any]:
        """Return the mapping that resolves to this component again, every option spelled out."""
        return {"name": self.name, **self.config.model_dump(mode="json")}


@dataclass(frozen=True)
class ComponentOf:
    """Makes a field of a config a component: ``head: Annotated[Component, ComponentOf(HEADS)]``.

    The field is read from a component spec, checked where the config is, and written as a spec again.

    Attributes
    ----------
    registry
        The table of components.
    default
        The component whose options a mapping without ``name`` holds; None when the name must be there.
    late
        Whether a mapping without ``name`` stays a mapping, because its component depends on the data.
    """

    registry: Registry
    default: str | None = None
    late: bool = False

    def read(self, spec: Any) -> Any:
        """Return the component of a spec."""
        if isinstance(spec, Component) or (self.late and isinstance(spec, Mapping) and "name" not in spec):
            return spec
        try:
            return resolve_component(self.registry, spec, where=_HERE, default=self.default)
        except ConfigError as error:
            raise ValueError(str(error)) from None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(
            lambda value: value.spec() if isinstance(value, Component) else value
        )
        return core_schema.no_info_plain_validator_function(self.read, serialization=written)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"description": f"{self.registry.kind}: a name, or a mapping with name and options"}


def validate(model: type[ConfigT], values: Any, *, where: str) -> ConfigT:
    """Check `values` against a config class; raise one `ConfigError` that lists every mistake.

    Parameters
    ----------
    model
        The config class.
    values
        Plain values as read from YAML.
    where
        What is being read, for the message, e.g. ``"recipe.yaml: train"``.
    """
    if isinstance(values, model):
        return values
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected keys and values, got {values!r}")
    try:
        return model.model_validate(dict(values))
    except pydantic.ValidationError as error:
        lines = [line for problem in error.errors(include_url=False) for line in _explain(model, problem)]
        raise ConfigError("\n".join(f"{where}: {line}" for line in lines)) from None


def _explain(model: type[pydantic.BaseModel], problem: Any) -> list[str]:
    path = ".".join(str(part) for part in problem["loc"])
    if _HERE in problem["msg"]:
        return problem["msg"].removeprefix("Value error, ").replace(_HERE, path).splitlines()
    if problem["type"] == "extra_forbidden":
        owner: Any = model
        for part in problem["loc"][:-1]:
            fields = getattr(owner, "model_fields", {})
            owner = _section(fields[part].annotation) if part in fields else None
        choices = list(getattr(owner, "model_fields", {}))
        return [f"unknown key {path!r}{did_you_mean(str(problem['loc'][-1]), choices) if choices else ''}"]
    if problem["type"] == "missing":
        return [f"{path!r} is missing"]
    message = problem["msg"].removeprefix("Value error, ")
    return [f"{path!r}: {message}, got {problem['input']!r}" if path else message]


def _section(annotation: Any) -> Any:
    """Return the config of a section that may be None."""
    return next((part for part in get_args(annotation) if part is not type(None)), annotation)


def resolve_component(registry: Registry, spec: Any, *, where: str, default: str | None = None) -> Component:
    """Turn a component spec into its class and checked config.

    The class has a nested ``Config``; if it has ``sizes`` (name -> options), the option ``size`` picks the
    defaults that the other options then override.

    Parameters
    ----------
    registry
        The table of components.
    spec
        A name, or a mapping of options.
    where
        What is being read, for messages.
    default
        The component whose options a mapping without ``name`` holds; None when the name must be there.
    """
    options = {"name": spec} if isinstance(spec, str) else spec
    if default is not None and isinstance(options, Mapping):
        options = {"name": default, **options}
    if not isinstance(options, Mapping) or not isinstance(options.get("name"), str):
        raise ConfigError(
            f"{where}: expected the name of a {registry.kind} or a mapping with 'name', got {spec!r}"
        )
    options = dict(options)
    name = options.pop("name")
    cls = registry.load(name)
    sizes: Mapping[str, Mapping[str, Any]] = getattr(cls, "sizes", {})
    if sizes and "size" in options:
        size = options.pop("size")
        if size not in sizes:
            raise ConfigError(
                f"{where}: unknown size {size!r} of {registry.kind} {name!r}{did_you_mean(str(size), sizes)}"
            )
        options = {**sizes[size], **options}
    return Component(name, cls, validate(cls.Config, options, where=f"{where} ({name})"))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML 1.2 mapping; duplicate keys and other mistakes raise `ConfigError` with the line."""
    try:
        text = read_text(path, ConfigError)
    except ConfigError as error:
        raise error if path.exists() else ConfigError(f"no recipe file {path}") from None
    values = _load_yaml(text, where=str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected keys and values at the top level")
    return values


def _load_yaml(text: str, *, where: str) -> Any:
    """Read YAML into texts, finite numbers of 64 bits, booleans, lists and mappings with texts as keys."""
    try:
        values = YAML(typ="safe", pure=True).load(text)
    except Exception as error:  # of many kinds: numbers of thousands of digits, impossible dates, ...
        raise ConfigError(f"cannot read {where} as YAML: {error}") from None
    _check_plain(values, where)
    return values


_DEEPEST = 50
"""Largest number of levels of a recipe; YAML's references can be recursive."""


def _check_plain(value: Any, where: str, depth: int = 0) -> None:
    if depth > _DEEPEST:
        raise ConfigError(f"{where}: more than {_DEEPEST} levels, or a part that contains itself")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str) and not (isinstance(key, int) and abs(key) <= _LARGEST):
                raise ConfigError(f"{where}: the key {key!r} is not a text; put it into quotes")
            _check_plain(inner, f"{where}: {key}" if depth == 0 else f"{where}.{key}", depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_plain(inner, where, depth + 1)
    elif isinstance(value, int) and abs(value) > _LARGEST:
        raise ConfigError(f"{where}: the number {str(value)[:20]}... is too large; at most {_LARGEST}")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: {value} is not a finite number")
    elif not isinstance(value, str | int | float | None):
        raise ConfigError(f"{where}: YAML reads {value!r} as {type(value).__name__}; put it into quotes")


_LARGEST = 2**63 - 1
"""Integers of recipes have 64 bits, which is what libraries accept."""


def builtin_recipes(verb: str) -> dict[str, Path]:
    """Return the recipes that come with the package for a verb, by name."""
    folder = Path(str(importlib.resources.files("hepfm") / "recipes" / verb))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(name: str | Path, verb: str) -> Path:
    """Return the file of a recipe given as a path or as the name of a built-in one."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    known = builtin_recipes(verb)
    if str(name) not in known:
        raise ConfigError(f"unknown {verb} recipe {str(name)!r}{did_you_mean(str(name), known)}")
    return known[str(name)]


def load_recipe(name: str | Path, verb: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a recipe, merge it into its ``base:`` (one level) and apply ``key=value`` overrides.

    Parameters
    ----------
    name
        Path of a YAML file, or the name of a built-in recipe of `verb`.
    verb
        Folder of built-in recipes: ``"simulate"``, ``"pretrain"``, ``"finetune"``.
    overrides
        Like ``["train.steps=100", "backbone.size=xs"]``; values are read as YAML.
    """
    path = find_recipe(name, verb)
    values = read_yaml(path)
    if "base" in values:
        base_name = values.pop("base")
        if not isinstance(base_name, str):
            raise ConfigError(f"{path}: base: expected the name of a recipe, got {base_name!r}")
        beside = path.parent / f"{base_name}.yaml"
        base = read_yaml(beside if beside.exists() else find_recipe(str(base_name), verb))
        if "base" in base:
            raise ConfigError(f"{path}: its base {base_name!r} has a base itself; one level is allowed")
        values = merge(base, values)
    for override in overrides:
        values = merge(values, parse_override(override))
    return values


def parse_override(text: str) -> dict[str, Any]:
    """Read one ``a.b=value`` into nested keys.

    >>> parse_override("train.lr=1e-3")
    {'train': {'lr': 0.001}}
    """
    key, equals, value = text.partition("=")
    if not equals or not key or not all(key.split(".")):
        raise ConfigError(f"cannot read {text!r}; write key=value, e.g. train.steps=100")
    parsed: Any = _load_yaml(value, where=f"the value of {text!r}") if value else None
    for part in reversed(key.split(".")):
        parsed = {part: parsed}
    return dict(parsed)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge `over` into `base`, key by key; a component of another ``name`` replaces the old one entirely.

    >>> merge({"backbone": {"name": "a", "x": 1}, "seed": 1}, {"backbone": {"x": 2}})
    {'backbone': {'name': 'a', 'x': 2}, 'seed': 1}
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, str) and isinstance(value, Mapping) and "name" not in value:
            old = {"name": old}
        if (
            isinstance(old, Mapping)
            and isinstance(value, Mapping)
            and value.get("name", old.get("name")) == old.get("name")
        ):
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged


def fingerprint(values: Any) -> str:
    """Return a short hash of JSON-ready values that does not depend on the order of keys."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
