"""Arithmetic with columns: one line of text, read by Python's parser and never executed as Python."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from hepfm.core.errors import ConfigError, DataError, did_you_mean

SLOT = "slot"
"""A name that is known beside the columns: the place of an entry in its list, from 0."""

_QUOTED = re.compile(r"`([^`]+)`")
_FAMILY = re.compile(r"^[^\s*]*\*[^\s*]*$")

_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def _wrap(angle: Any) -> Any:
    """Return an angle in (-pi, pi]."""
    return np.pi - np.mod(np.pi - angle, 2 * np.pi)


def _eta(px: Any, py: Any, pz: Any) -> Any:
    """Return the pseudorapidity of a momentum, 0 where it has no transverse part."""
    pt = np.hypot(px, py)
    return np.arcsinh(_where(pt > 0, pz, 0.0) / _where(pt > 0, pt, 1.0))


def _where(condition: Any, yes: Any, no: Any) -> Any:
    if all(isinstance(value, np.ndarray | np.generic | bool | int | float) for value in (condition, yes, no)):
        return np.where(condition, yes, no)
    import awkward as ak

    return ak.where(condition, yes, no)


def _charge(pdg: Any) -> Any:
    """Return the charge of particles by their PDG codes; those of electrons and muons are positive for -1."""
    code = abs(pdg)
    hadron = sum((code == known) * 1 for known in (211, 321, 2212))
    return np.sign(pdg) * (hadron - (code == 11) * 1 - (code == 13) * 1)


def _reduced(name: str) -> Callable[[Any], Any]:
    """Return a function of the entries of the innermost lists."""

    def reduce(values: Any) -> Any:
        import awkward as ak

        return getattr(ak, name)(values, axis=-1)

    return reduce


_REDUCTIONS = ("sum", "count", "min", "max", "any", "all")

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(np, name)
        for name in (
            *("sqrt", "exp", "log", "log10", "log1p", "expm1", "hypot", "floor", "ceil", "rint", "sign"),
            *("sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "sinh", "cosh", "tanh"),
            *("arcsinh", "arccosh", "arctanh", "minimum", "maximum", "isnan", "isfinite"),
        )
    },
    "abs": np.abs,
    "where": _where,
    "wrap": _wrap,
    "pt": np.hypot,
    "phi": lambda px, py: np.arctan2(py, px),
    "eta": _eta,
    "charge": _charge,
    "energy": lambda pt, eta, mass: np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2),
    **{name: _reduced(name) for name in _REDUCTIONS},
}
"""What it can call. ``pt(px, py)``, ``eta(px, py, pz)``, ``phi(px, py)`` and ``energy(pt, eta, mass)`` are of
momenta; ``charge`` is that of a PDG code; ``wrap`` gives an angle in (-pi, pi]; ``sum`` and its like are of
innermost lists."""


class Expression:
    """Arithmetic with columns of a file.

    A text that is the name of a column is this column. Otherwise numbers, names, ``+ - * / // % **``,
    comparisons, ``&``, ``|``, ``~``, ``and``, ``or``, ``not``, the functions of `FUNCTIONS` and the last
    index of an array, ``data[..., 3]``. Names with other characters stand in backticks; a star stands for a
    number, so that ``PX_*`` in backticks is the list of ``PX_0``, ``PX_1`` and so on.

    Parameters
    ----------
    text
        The expression.
    names
        Columns of the file.
    entrywise
        Whether it is to be computed entry by entry, with `flat`: nothing may depend on other entries.

    Raises
    ------
    ConfigError
        When it is no such arithmetic, or a name is none of the file.
    """

    def __init__(self, text: str, names: Iterable[str], *, entrywise: bool = False) -> None:
        self.text = text
        self._entrywise = entrywise
        self._known = tuple(names)
        self._quoted: dict[str, str] = {}
        self._families: dict[str, list[str]] = {}
        self.names: set[str] = set()
        if text in self._known or (_FAMILY.match(text) and self._members(text)):
            text = f"`{text}`"
        try:
            self._tree = ast.parse(_QUOTED.sub(self._quote, text).strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ConfigError(f"{self.text!r} is no expression") from None
        self._check(self._tree)

    @property
    def stacked(self) -> set[str]:
        """Columns that stand in a list with their like, ``PX_0`` in ``PX_*``."""
        return {member for members in self._families.values() for member in members}

    def leaves(self, columns: Mapping[str, Any]) -> list[Any]:
        """Return the columns, and lists of columns, that enter."""
        single = self.names - self.stacked
        return [self._column(name, columns) for name in (*sorted(single), *self._families)]

    def __call__(self, columns: Mapping[str, Any]) -> Any:
        """Return the value from columns, awkward arrays of which `names` are needed.

        Raises
        ------
        DataError
            When the columns do not fit together.
        """
        import awkward as ak

        try:
            with np.errstate(all="ignore"):
                return self._value(self._tree, columns)
        except DataError:
            raise
        except (ValueError, TypeError, IndexError, OverflowError, ak.errors.AxisError) as error:
            shapes = ", ".join(f"{name}: {columns[name].type}" for name in sorted(self.names))
            raise DataError(
                f"cannot compute {self.text!r} of {shapes}: {str(error).splitlines()[0]}"
            ) from None

    def flat(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the value of each entry from flat arrays of one length, of which `names` are needed.

        Needs no awkward array; whole numbers of the text count as real ones.

        Raises
        ------
        DataError
            When it cannot be computed.
        """
        try:
            with np.errstate(all="ignore"):
                return np.asarray(self._value(self._tree, columns))
        except (ValueError, TypeError, IndexError, ArithmeticError, RecursionError) as error:
            raise DataError(f"cannot compute {self.text!r}: {str(error).splitlines()[0]}") from None

    def _quote(self, match: re.Match[str]) -> str:
        key = f"_quoted_{len(self._quoted)}"
        self._quoted[key] = match[1]
        return key

    def _members(self, family: str) -> list[str]:
        """Return the columns of a name with a star in place of a number, by their numbers."""
        before, _, after = family.partition("*")
        pattern = re.compile(f"{re.escape(before)}([0-9]+){re.escape(after)}")
        found = {int(match[1]): name for name in self._known if (match := pattern.fullmatch(name))}
        return [found[number] for number in sorted(found)]

    def _check(self, node: ast.AST) -> None:
        """Raise `ConfigError` unless a node is part of the language; note the columns that it needs."""
        match node:
            case ast.Constant(value=bool() | int() | float()):
                return
            case ast.Name() | ast.Attribute():
                self._note(node)
            case ast.UnaryOp(op=ast.UAdd() | ast.USub() | ast.Not() | ast.Invert(), operand=value):
                self._check(value)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                self._check(left)
                self._check(right)
            case ast.BoolOp(values=values):
                for value in values:
                    self._check(value)
            case ast.Compare(left=left, ops=ops, comparators=others) if all(
                type(op) in _BINARY for op in ops
            ):
                for value in (left, *others):
                    self._check(value)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                known = [name for name in FUNCTIONS if not (self._entrywise and name in _REDUCTIONS)]
                if name not in known:
                    raise ConfigError(f"{self.text!r}: no function {name!r}{did_you_mean(name, known)}")
                for value in args:
                    self._check(value)
            case ast.Subscript(value=value) if _last_index(node) is not None:
                self._check(value)
            case _:
                raise ConfigError(
                    f"{self.text!r}: {ast.unparse(node)!r} is not understood; expressions have numbers, "
                    f"columns, arithmetic, comparisons, data[..., 3] and the functions {', '.join(FUNCTIONS)}"
                )

    def _note(self, node: ast.AST) -> None:
        name = self._name(node)
        if name == SLOT and not self._entrywise:
            return
        members = self._members(name) if _FAMILY.match(name) else []
        if members:
            self._families[name] = members
        elif name not in self._known:
            raise ConfigError(f"{self.text!r}: the file has no {name!r}{did_you_mean(name, self._known)}")
        self.names.update(members or [name])

    def _name(self, node: ast.AST) -> str:
        match node:
            case ast.Name(id=name):
                return self._quoted.get(name, name)
            case ast.Attribute(value=value, attr=attribute):
                return f"{self._name(value)}.{attribute}"
        raise ConfigError(f"{self.text!r}: {ast.unparse(node)!r} is no name of a column")

    def _value(self, node: ast.AST, columns: Mapping[str, Any]) -> Any:
        match node:
            case ast.Constant(value=value):
                return float(value) if self._entrywise and type(value) is int else value
            case ast.Name() | ast.Attribute():
                return self._column(self._name(node), columns)
            case ast.UnaryOp(op=op, operand=operand):
                value = self._value(operand, columns)
                return value if isinstance(op, ast.UAdd) else -value if isinstance(op, ast.USub) else ~value
            case ast.BinOp(left=left, op=op, right=right):
                return _BINARY[type(op)](self._value(left, columns), self._value(right, columns))
            case ast.BoolOp(op=op, values=values):
                together = operator.and_ if isinstance(op, ast.And) else operator.or_
                result = self._value(values[0], columns)
                for value in values[1:]:
                    result = together(result, self._value(value, columns))
                return result
            case ast.Compare(left=left, ops=ops, comparators=others):
                parts = [self._value(part, columns) for part in (left, *others)]
                result = _BINARY[type(ops[0])](parts[0], parts[1])
                for other, low, high in zip(ops[1:], parts[1:], parts[2:], strict=False):
                    result = result & _BINARY[type(other)](low, high)
                return result
            case ast.Call(func=ast.Name(id=name), args=args):
                return FUNCTIONS[name](*(self._value(part, columns) for part in args))
            case ast.Subscript(value=value):
                return self._value(value, columns)[..., _last_index(node)]
        raise AssertionError(node)

    def _column(self, name: str, columns: Mapping[str, Any]) -> Any:
        if name == SLOT and SLOT not in columns:
            raise DataError(f"{self.text!r}: {SLOT!r} is a place in a list, and no field is a list")
        if name not in self._families:
            return columns[name]
        import awkward as ak

        stacked = np.stack([np.asarray(columns[member]) for member in self._families[name]], axis=1)
        return ak.from_regular(ak.from_numpy(stacked, regulararray=True), axis=None)


def _last_index(node: ast.AST) -> int | None:
    """Return the number in ``[..., 3]``; None when it is another index."""
    match node:
        case ast.Subscript(slice=ast.Tuple(elts=[ast.Constant(value=first), ast.Constant(value=int(last))])):
            return last if first is ... else None
        case ast.Subscript(
            slice=ast.Tuple(
                elts=[
                    ast.Constant(value=first),
                    ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(last))),
                ]
            )
        ):
            return -last if first is ... else None
    return None
