"""Expressions of weaver-core's preprocessing files as arithmetic with fields of a store, never executed."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from itertools import islice

import numpy as np

from hepfm.core.errors import ConfigError, did_you_mean
from hepfm.data.maps.expression import FUNCTIONS, Expression
from hepfm.data.readers.jetclass import COPIED, FLAGS
from hepfm.data.written_features import FIELDS

BRANCHES: Mapping[str, str] = {
    "part_px": "part_pt * cos(part_phi)",
    "part_py": "part_pt * sin(part_phi)",
    "part_pz": "part_pt * sinh(part_eta)",
    "part_deta": "(part_eta - jet_eta) * where(jet_eta > 0, 1, -1)",
    "part_dphi": "wrap(part_phi - jet_phi)",
    **{flag: f"(part_pid == {number}) * 1" for number, flag in enumerate(FLAGS)},
    **{branch: field for field, branch in COPIED.items()},
}
"""Branches of JetClass's files, which all public files of weaver-core use, by the fields of a store."""

_MODULES = ("np", "numpy", "math", "ak", "awkward")
_SAME = {name for name, function in FUNCTIONS.items() if function is getattr(np, name, None)} | {"where"}
_ALIASES = {
    "fabs": "abs",
    "absolute": "abs",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
}
_OPERATORS = {
    "add": ast.Add,
    "subtract": ast.Sub,
    "multiply": ast.Mult,
    "divide": ast.Div,
    "true_divide": ast.Div,
    "power": ast.Pow,
    "pow": ast.Pow,
    "logical_and": ast.BitAnd,
    "logical_or": ast.BitOr,
}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_LONGEST = 10_000
_MOST_NODES = 5_000
"""Bounds of one variable: files are read from strangers."""


class Translator:
    """Writes variables of a preprocessing file as arithmetic with `FIELDS`.

    Parameters
    ----------
    new_variables
        Expressions of the file, by name.
    branches
        Further branches, or other meanings of those of `BRANCHES`: arithmetic with `FIELDS`, by name.

    Raises
    ------
    ConfigError
        When a branch is no arithmetic with fields.
    """

    def __init__(self, new_variables: Mapping[str, str], branches: Mapping[str, str]) -> None:
        for name, text in branches.items():
            try:
                Expression(text, FIELDS, entrywise=True)
            except ConfigError as error:
                raise ConfigError(f"branch {name}: {error}") from None
        self._texts = {**new_variables, **dict.fromkeys(branches)}
        self._branches = {**BRANCHES, **branches}
        self._done: dict[str, ast.expr] = {}
        self._open: list[str] = []

    def text(self, variable: str) -> str:
        """Return a variable as the text of an `Expression`.

        Raises
        ------
        ConfigError
            When it cannot be written so; the message names the variable and what is not known.
        """
        return ast.unparse(self._variable(variable))

    def _variable(self, name: str) -> ast.expr:
        if name not in self._done:
            if name in self._open:
                raise ConfigError(f"variable {name!r} is made of itself: {' of '.join([*self._open, name])}")
            self._open.append(name)
            tree = self._made(name)
            if len(list(islice(ast.walk(tree), _MOST_NODES + 1))) > _MOST_NODES:
                raise ConfigError(f"variable {name!r} is too long to be written out; simplify it")
            self._done[name] = tree
            self._open.pop()
        return self._done[name]

    def _made(self, name: str) -> ast.expr:
        text = self._texts.get(name)
        if text is None or text == name:
            return self._branch(name)
        if len(text) > _LONGEST:
            raise ConfigError(f"variable {name!r} is too long to be read; simplify it")
        try:
            tree = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ConfigError(f"variable {name!r}: {text!r} is no expression") from None
        return self._visit(tree)

    def _branch(self, name: str) -> ast.expr:
        if name not in self._branches:
            of = f"variable {self._open[0]!r}: " if self._open[0] != name else ""
            raise ConfigError(
                f"{of}what the branch {name!r} holds is not known{did_you_mean(name, self._branches)}; say "
                f"it in fields of a store, e.g. --branch '{name}=part_pt * cos(part_phi)'"
            )
        return ast.parse(self._branches[name], mode="eval").body

    def _visit(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.Constant(value=bool() | int() | float()):
                return node
            case ast.Name(id=name):
                return self._variable(name)
            case ast.Attribute(value=ast.Name(id=module), attr=name) if (
                module in _MODULES and name in _CONSTANTS
            ):
                return ast.Constant(_CONSTANTS[name])
            case ast.UnaryOp(op=op, operand=operand):
                return ast.UnaryOp(op, self._visit(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return ast.BinOp(self._visit(left), op, self._visit(right))
            case ast.Compare(left=left, ops=ops, comparators=others):
                return ast.Compare(self._visit(left), ops, [self._visit(other) for other in others])
            case ast.Call(func=func, args=args, keywords=[]) if (function := _function(func)) is not None:
                return self._call(function, [self._visit(part) for part in args], node)
        raise self._unknown(node)

    def _call(self, name: str, args: list[ast.expr], node: ast.expr) -> ast.expr:
        if (special := _SPECIAL.get((name, len(args)))) is not None:
            return special(*args)
        if name in _OPERATORS and len(args) == 2:
            return ast.BinOp(args[0], _OPERATORS[name](), args[1])
        name = _ALIASES.get(name, name)
        if name not in _SAME | {"abs"}:
            raise self._unknown(node)
        return _named(name, *args)

    def _unknown(self, node: ast.expr) -> ConfigError:
        known = sorted({*_SAME, *_OPERATORS, *_ALIASES, *(name for name, _ in _SPECIAL)})
        return ConfigError(
            f"variable {self._open[0]!r}: {ast.unparse(node)!r:.80} is not understood; known are branches, "
            f"new variables, numbers, arithmetic, comparisons and the functions {', '.join(known)}"
        )


def _function(func: ast.expr) -> str | None:
    """Return the name of a function of NumPy, awkward or math, or of Python's own ``abs``; None of others."""
    match func:
        case ast.Attribute(value=ast.Name(id=module), attr=name) if module in _MODULES:
            return name
        case ast.Name(id="abs"):
            return "abs"
        case ast.Name(id="_clip"):
            return "clip"
    return None


def _named(name: str, *args: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name), list(args), [])


def _constant(value: float) -> Callable[[ast.expr], ast.expr]:
    return lambda like: ast.BinOp(
        ast.BinOp(like, ast.Mult(), ast.Constant(0)), ast.Add(), ast.Constant(value)
    )


_SPECIAL: Mapping[tuple[str, int], Callable[..., ast.expr]] = {
    ("clip", 3): lambda x, low, high: _named("minimum", _named("maximum", x, low), high),
    ("square", 1): lambda x: ast.BinOp(x, ast.Pow(), ast.Constant(2)),
    ("negative", 1): lambda x: ast.UnaryOp(ast.USub(), x),
    ("nan_to_num", 1): lambda x: _named("where", _named("isfinite", x), x, ast.Constant(0)),
    ("ones_like", 1): _constant(1),
    ("zeros_like", 1): _constant(0),
    ("float32", 1): lambda x: x,
}
"""Functions that are written otherwise, by their name and number of arguments."""
