"""Options of a network: from weaver-core's network file, which is parsed and never executed, or as given."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hepfm.core.errors import ConfigError, did_you_mean
from hepfm.core.files import read_text
from hepfm.core.guards import reading, regular_file

_FUNCTION = "get_model"
_MISSING = object()


def read_network(path: str | Path, known: Collection[str]) -> dict[str, Any]:
    """Return the options that ``get_model`` of a network file gives its network, where they are plain values.

    Read are ``cfg = dict(num_heads=8, ...)`` and the keywords of calls, of which ``kwargs.get(name, value)``
    counts as its value.

    Parameters
    ----------
    path
        The file, e.g. ``example_ParticleTransformer.py``.
    known
        Names of options.

    Raises
    ------
    ConfigError
        When it is no Python file with a function ``get_model``.
    """
    path = Path(path)
    with reading(path, ConfigError, what="a network file of weaver-core"):
        tree = ast.parse(read_text(regular_file(path, ConfigError), ConfigError))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == _FUNCTION]
    if not functions:
        raise ConfigError(
            f"{path} has no function {_FUNCTION}; give the network file that weaver was run with"
        )
    names: dict[str, ast.expr] = {}
    options: dict[str, Any] = {}
    for node in ast.walk(functions[0]):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                names[name] = value
    for node in ast.walk(functions[0]):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                plain = _plain(keyword.value, names) if keyword.arg in known else _MISSING
                if keyword.arg is not None and plain is not _MISSING:
                    options[keyword.arg] = plain
    return options


def read_options(texts: Sequence[str], known: Collection[str]) -> dict[str, Any]:
    """Return options given as ``name=value``, the value as weaver's ``--network-option`` takes it.

    Raises
    ------
    ConfigError
        When one cannot be read, or is unknown.
    """
    options = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals:
            raise ConfigError(f"cannot read the option {text!r}; write name=value, e.g. num_heads=8")
        if name not in known:
            raise ConfigError(f"the network has no option {name!r}{did_you_mean(name, known)}")
        options[name] = _literal(text, value)
    return options


def _literal(text: str, value: str) -> Any:
    words = {"true": True, "false": False, "none": None, "null": None}
    if value.strip().lower() in words:
        return words[value.strip().lower()]
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        if value.strip().isidentifier():
            return value.strip()
        raise ConfigError(
            f"cannot read the value of the option {text!r}; write numbers, lists or true and false, e.g. "
            "conv_params=[(16,(64,64,64)),(16,(128,128,128))]"
        ) from None


def _plain(node: ast.expr, names: Mapping[str, ast.expr], depth: int = 0) -> Any:
    """Return the value of a node; `_MISSING` where only running the file would tell."""
    match node:
        case ast.Name(id=name) if name in names and depth < 10:
            return _plain(names[name], names, depth + 1)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="kwargs"), attr="get"), args=[_, default]):
            return _plain(default, names, depth + 1)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _MISSING
