"""JSON of a verb's result, and its JSON Schema (draft 2020-12) with the meanings that the docstrings give."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import sys
from types import NoneType
from typing import Any, Union, get_args, get_type_hints

import click
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from hepfm.cli.result import VerbResult

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def to_json(result: VerbResult) -> str:
    """Return a result as the text of one JSON object."""
    return adapter(type(result)).dump_json(result, indent=2).decode()


def result_type(command: click.Command) -> Any:
    """Return the annotated type of a verb's result: a `VerbResult`, or a union of several."""
    hints = get_type_hints(inspect.unwrap(command.callback)) if command.callback else {}
    hint = hints.get("return")
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not NoneType]
    if not kinds or not all(isinstance(kind, type) and issubclass(kind, VerbResult) for kind in kinds):
        raise TypeError(
            f"verb {command.name}: annotate what it returns, a VerbResult of hepfm.cli.result; got {hint}"
        )
    return Union[tuple(kinds)]  # noqa: UP007 - of a list of types


def result_schema(command: click.Command) -> dict[str, Any]:
    """Return the JSON Schema of a verb's result."""
    return {"$schema": DIALECT, **schema_of(result_type(command))}


def schema_of(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema of a type as it is written."""
    return adapter(kind).json_schema(mode="serialization", schema_generator=Documented)


def adapter(kind: Any) -> TypeAdapter[Any]:
    """Return pydantic's reader and writer of a type."""
    return _adapter(kind)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    for one in get_args(kind) or (kind,):
        _complete(one)
    return TypeAdapter(kind)


def _complete(kind: type) -> None:
    """Import what the fields of a type name and its module imports for type checkers only."""
    module = sys.modules[kind.__module__]
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            exec(compile(ast.Module(node.body, []), module.__name__, "exec"), vars(module))


class Documented(GenerateJsonSchema):
    """Schemas that are described by NumPy docstrings, and say nothing twice."""

    def dataclass_schema(self, schema: Any) -> JsonSchemaValue:
        """Return the schema of a dataclass."""
        return described(super().dataclass_schema(schema), schema["cls"])

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        """Return the schema of a pydantic model."""
        return described(super().model_schema(schema), schema["cls"])

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Say that what is written has every field."""
        return self.mode == "serialization" or super().field_is_required(field, total)

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave out titles, which only repeat names."""
        return False


def described(schema: JsonSchemaValue, kind: type) -> JsonSchemaValue:
    """Put the first paragraph and the attributes of docstrings into the schema of a class."""
    schema = {key: value for key, value in schema.items() if key not in ("title", "description")}
    summary = inspect.getdoc(kind) or ""
    meanings = {name: text for base in reversed(kind.__mro__) for name, text in attributes(base).items()}
    properties = {
        name: {**value, "description": meanings[name]} if name in meanings else value
        for name, value in schema.get("properties", {}).items()
    }
    return {"description": " ".join(summary.split("\n\n")[0].split()), **schema, "properties": properties}


def attributes(kind: type) -> dict[str, str]:
    """Return the section ``Attributes`` of a class's docstring, as meaning by name."""
    text = inspect.cleandoc(kind.__dict__.get("__doc__") or "")
    section = re.search(r"^Attributes\n-+\n(.*?)(?=^\w[\w ]*\n-+$|\Z)", text, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^(\w[\w, ]*)\n((?:[ ]+.*\n?|\n)+)", section[1], re.MULTILINE) if section else []
    return {name: " ".join(meaning.split()) for names, meaning in found for name in names.split(", ")}
