"""Arguments of a verb as one object: a config class made of the click command, and the way to words."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import click
import pydantic

from hepfm.cli.completion import Names
from hepfm.cli.schema import Documented
from hepfm.core.config import Config, validate

_SHARED = ("as_json", "quiet")
"""Options of every verb, which say how the result is printed."""

_TYPES: dict[str, Any] = {"boolean": bool, "integer": int, "float": float}
"""By click's names; all others are texts."""


def parameters(command: click.Command) -> dict[str, click.Parameter]:
    """Return what a command is given, by the names of its options: ``on`` for ``--on``."""
    return {name_of(one): one for one in command.params if one.name not in _SHARED}


def name_of(parameter: click.Parameter) -> str:
    """Return the name of an argument: that of the long option, else that of the parameter."""
    long = next((name for name in parameter.opts if name.startswith("--")), None)
    return long.removeprefix("--").replace("-", "_") if long else str(parameter.name)


@functools.cache
def config_of(command: click.Command) -> type[Config]:
    """Return the class that the arguments of a command are checked with."""
    fields: dict[str, Any] = {
        name: (_type(one), pydantic.Field(... if one.required else None, **_facts(one)))
        for name, one in parameters(command).items()
    }
    return pydantic.create_model("Arguments", __base__=Config, **fields)


def arguments_schema(command: click.Command) -> dict[str, Any]:
    """Return the JSON Schema of a command's arguments."""
    schema = config_of(command).model_json_schema(schema_generator=Documented)
    for name, one in parameters(command).items():
        value, default = schema["properties"][name], _default(one)
        value.pop("default", None)
        if default is not None:
            value["default"] = default
    return {key: value for key, value in schema.items() if key != "description"}


def words(name: str, command: click.Command, arguments: Mapping[str, Any]) -> list[str]:
    """Return checked arguments as the words of a command line.

    Raises
    ------
    ConfigError
        With everything that is missing, unknown or of another type.
    """
    values = validate(config_of(command), arguments, where=name).model_dump(exclude_unset=True)
    options, positional = [], []
    for key, one in parameters(command).items():
        if key not in values:
            continue
        value = values[key]
        several = [str(part) for part in value] if isinstance(value, list) else [str(value)]
        if isinstance(one, click.Argument):
            positional += several
        elif isinstance(value, bool):
            options += (one.opts if value else one.secondary_opts)[-1:]
        else:
            options += [word for part in several for word in (one.opts[-1], part)]
    return [*options, "--json", "--", *positional]


def _type(parameter: click.Parameter) -> Any:
    kind, known = parameter.type, _names(parameter)
    item: Any = _TYPES.get(kind.name.removesuffix(" range"), str)
    if isinstance(kind, click.Choice):
        item = Literal[tuple(str(choice) for choice in kind.choices)]
    elif known is not None and not known.files:
        item = Literal[tuple(known.known())]
    elif isinstance(kind, click.IntRange | click.FloatRange):
        item = Annotated[item, pydantic.Field(**_bounds(kind))]
    return list[item] if parameter.nargs == -1 or parameter.multiple else item


def _bounds(kind: click.IntRange | click.FloatRange) -> dict[str, Any]:
    low = {"gt" if kind.min_open else "ge": kind.min} if kind.min is not None else {}
    high = {"lt" if kind.max_open else "le": kind.max} if kind.max is not None else {}
    return {**low, **high}


def _names(parameter: click.Parameter) -> Names | None:
    """Return the names that a parameter is completed with; click keeps them to itself."""
    complete = getattr(parameter, "_custom_shell_complete", None)
    return complete if isinstance(complete, Names) else None


def _facts(parameter: click.Parameter) -> dict[str, Any]:
    known = _names(parameter)
    examples = list(known.known()) if known is not None and known.files else None
    return {"description": _description(parameter), "examples": examples}


def _description(parameter: click.Parameter) -> str:
    said = [getattr(parameter, "help", None) or ""]
    if isinstance(parameter, click.Argument):
        shape = (parameter.metavar or name_of(parameter).upper()).removesuffix("...")
        shape = shape[1:-1] if shape.startswith("[") and shape.endswith("]") else shape
        many = "Any number, each written as" if parameter.nargs == -1 else "In the description above:"
        said = [f"{many} {shape}."]
    elif parameter.metavar:
        said.append(f"Form: {parameter.metavar}")
    known = _names(parameter)
    if known is not None and known.files:
        said.append("A built-in name, or the path of a file.")
    elif isinstance(parameter.type, click.Path):
        said.append("A path.")
    return " ".join(filter(None, said))


def _default(parameter: click.Parameter) -> Any:
    """Return the default of an option that has one and is no flag that is off."""
    default = parameter.to_info_dict().get("default")
    told = isinstance(default, str | int | float) and default is not False and default != ""
    return default if told else None
