"""Write ``options.json``: every option of every config, with its default and its bounds.

    python tests/core/make_options.py

A default or a bound that changes changes what a recipe means: the file shows it in review.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import hepfm
from hepfm.core.config import Config

FILE = Path(__file__).parent / "options.json"
BOUND = re.compile(r"\b(?:Gt|Ge|Lt|Le|MinLen|MaxLen|MultipleOf)\([^)]*\)")


def modules() -> Iterator[ModuleType]:
    """Import every module of the package."""
    for module in pkgutil.walk_packages(hepfm.__path__, "hepfm."):
        if not module.name.endswith("__main__"):
            yield importlib.import_module(module.name)


def configs() -> dict[str, type[Config]]:
    """Return every config of the package by module and name."""
    list(modules())
    classes = {f"{cls.__module__}.{cls.__qualname__}": cls for cls in _below(Config)}
    # Arguments of verbs are classes made while they are described; their options are those of commands.
    kept = {name: cls for name, cls in classes.items() if not name.startswith("hepfm.tools.")}
    return {name: cls for name, cls in sorted(kept.items()) if name.startswith("hepfm.")}


def _below(cls: type[Config]) -> Iterator[type[Config]]:
    for child in cls.__subclasses__():
        yield child
        yield from _below(child)


def options() -> dict[str, dict[str, str]]:
    """Return the options of every config: default and bounds."""
    return {name: _options_of(cls) for name, cls in configs().items() if cls.model_fields}


def _options_of(cls: type[Config]) -> dict[str, str]:
    fields = {}
    for name, field in cls.model_fields.items():
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        bounds = BOUND.findall(f"{field.annotation} {field.metadata}")
        fields[name] = "; ".join([default, *bounds])
    return fields


if __name__ == "__main__":
    FILE.write_text(json.dumps(options(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
