"""Tables of the options of typed configs: name, type, default, bounds and meaning, as Markdown."""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as bounds
import pydantic

from hepfm.core.config import Component, ComponentOf, Config
from hepfm.core.registry import Registry
from hepfm.core.weighted import Weighted, WeightedOf

HEAD = "| option | type | default | meaning |\n|---|---|---|---|\n"
_PLAIN = {bool: "true or false", int: "whole number", float: "number", str: "text"}
_DEEPEST = 3
Link = Callable[[Registry], str]
"""Gives the Markdown of a registry's kind: a link to where its rows are described."""


def table(config: type[Config], link: Link) -> str:
    """Return the table of a config's options; those of its sections as ``section.option``."""
    lines = ["| " + " | ".join(_cell(part) for part in row) + " |\n" for row in rows(config, link)]
    return HEAD + "".join(lines) if lines else "No options.\n"


def meanings(config: type[pydantic.BaseModel]) -> dict[str, str]:
    """Return what the docstrings of a config, and of the configs it derives from, say of its options."""
    found: dict[str, str] = {}
    for cls in config.__mro__:
        found = {**_attributes(cls.__doc__ or ""), **found}
    return found


def _attributes(docstring: str) -> dict[str, str]:
    """Return the entries of the section ``Attributes``; names that share an entry each have its text."""
    _, _, section = inspect.cleandoc(docstring).partition("Attributes\n----------\n")
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in section.splitlines():
        if line and not line.startswith(" "):
            names = re.split(r", *", line) if re.fullmatch(r"\w+(, *\w+)*", line) else []
        for name in names if line.startswith(" ") else ():
            found.setdefault(name, []).append(line.strip())
    return {name: plain(" ".join(lines)) for name, lines in found.items()}


def plain(text: str) -> str:
    """Return a docstring's text as Markdown.

    >>> plain("``a`` of `hepfm.core.config.Config`; 0.1 in 2403.07066")
    '`a` of `Config`; 0.1 in [2403.07066](https://arxiv.org/abs/2403.07066)'
    """
    text = text.replace("``", "`")
    text = re.sub(r"`hepfm(?:\.\w+)*\.(\w+)`", r"`\1`", text)
    return papers_linked(re.sub(r"\bNone\b", "null", text))


PAPER = re.compile(r"(?<![\d./\[])(\d{4}\.\d{4,5})(?!\d|\])")


def papers_linked(text: str) -> str:
    """Return a text with its numbers of the arXiv as links."""
    return PAPER.sub(r"[\1](https://arxiv.org/abs/\1)", text)


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


def rows(
    config: type[pydantic.BaseModel], link: Link, before: str = "", given: Any = None
) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each option; defaults are those of `given`, a config, where there is one."""
    said = meanings(config)
    for name, field in config.model_fields.items():
        section = _section(field.annotation) if before.count(".") < _DEEPEST else None
        required = field.is_required() and given is None
        if required:
            default = None
        elif given is not None:
            default = getattr(given, name)
        else:
            default = field.get_default(call_default_factory=True)
        shown = "required" if required else value(default)
        if section and isinstance(default, section):
            shown = ""
        what = "section" if section else _type(field.annotation, tuple(field.metadata), link)
        yield f"`{before}{name}`", what, shown, said.get(name, "")
        if section:
            yield from rows(section, link, f"{before}{name}.", default)


def _section(annotation: Any) -> type[Config] | None:
    """Return the config of a section, which may be null."""
    parts = [part for part in _parts(annotation) if part is not type(None)]
    only = parts[0] if len(parts) == 1 else None
    return only if isinstance(only, type) and issubclass(only, Config) else None


def _parts(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union; the type itself if it is none."""
    if get_origin(annotation) is Annotated and not _component(get_args(annotation)[1:]):
        return _parts(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def _component(metadata: tuple[Any, ...]) -> ComponentOf | WeightedOf | None:
    return next((one for one in metadata if isinstance(one, ComponentOf | WeightedOf)), None)


def _type(annotation: Any, metadata: tuple[Any, ...], link: Link) -> str:
    """Return what may be given, with its bounds."""
    chosen = _component(metadata)
    if chosen is not None:
        return link(chosen.registry) + (" with `weight`" if isinstance(chosen, WeightedOf) else "")
    limit = _bounds(metadata)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _with(_type(args[0], args[1:], link), limit)
    if origin in (Union, types.UnionType):
        given = [_type(part, (), link) for part in args if part is not type(None)]
        return _with(" or ".join(dict.fromkeys(given)), limit) + (", or null" if type(None) in args else "")
    if origin is Literal:
        return ", ".join(f"`{_json(one)}`" for one in args)
    if origin in (tuple, list, frozenset, set):
        return _with(_list(args, link), limit)
    if origin is dict or annotation is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return "section"
    return _with(_PLAIN.get(annotation, "value"), limit)


def _list(args: tuple[Any, ...], link: Link) -> str:
    if len(args) == 2 and args[1] is not Ellipsis and args[0] == args[1]:
        return f"two of: {_type(args[0], (), link)}"
    inner = " or ".join(dict.fromkeys(_type(one, (), link) for one in args if one is not Ellipsis))
    return f"list of: {inner}" if inner else "list"


def _with(text: str, limit: str) -> str:
    return f"{text} {limit}" if limit else text


_SIGNS = ((bounds.Gt, "gt", ">"), (bounds.Ge, "ge", "≥"), (bounds.Lt, "lt", "<"), (bounds.Le, "le", "≤"))


def _bounds(metadata: tuple[Any, ...]) -> str:
    """Return the bounds of a number, or of the length of a list."""
    found = []
    for one in metadata:
        if isinstance(one, pydantic.fields.FieldInfo):
            found.append(_bounds(tuple(one.metadata)))
        for kind, name, sign in _SIGNS:
            if isinstance(one, kind):
                found.append(f"{sign} {getattr(one, name):g}")
        if isinstance(one, bounds.MinLen):
            found.append(f"(at least {one.min_length})")
        if isinstance(one, bounds.MaxLen):
            found.append(f"(at most {one.max_length})")
    return ", ".join(part for part in found if part)


def value(value: Any) -> str:
    """Return a default as it would be written in a recipe."""
    text = _json(_simple(value))
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"


def _simple(value: Any) -> Any:
    if isinstance(value, Component):
        changed = {
            key: _simple(now)
            for key, now in value.config
            if now != value.config.__class__.model_fields[key].get_default(call_default_factory=True)
        }
        return {"name": value.name, **changed} if changed else value.name
    if isinstance(value, Weighted):
        return _simple(value.component)
    if isinstance(value, pydantic.BaseModel):
        return {key: _simple(inner) for key, inner in value}
    if isinstance(value, tuple | list | frozenset | set):
        return [_simple(inner) for inner in value]
    return value


def _json(value: Any) -> str:
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, list):
        return f"[{', '.join(_json(one) for one in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_json(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)
