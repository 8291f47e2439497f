"""The small changes of the source that mutation tests try, and a random sample of them."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = ("metrics", "objectives", "tasks", "inference", "train", "data", "study", "workflow")
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.Add: ast.Sub,
    ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.And: ast.Or, ast.Or: ast.And, ast.MatMult: ast.Mult,
}  # fmt: skip
SILENT = ("logger", "warnings")
"""Calls of these are messages, as are exceptions; their words are not mutated."""


@dataclass(frozen=True)
class Mutant:
    """A change of one node: the number of the node in the walk of its module, and which of its changes."""

    path: str
    node: int
    change: int
    lines: tuple[int, int]
    """First and last line of the statement (of its header, where it has a body)."""
    at_import: bool
    """Whether the statement is run when its module is imported."""
    what: str

    @property
    def key(self) -> str:
        """Name in the results."""
        return f"{self.path}:{self.lines[0]}:{self.node}.{self.change}"

    @property
    def floor(self) -> str:
        """Folder of ``src/hepfm``."""
        return Path(self.path).parts[2]


Change = tuple[str, Callable[[ast.AST], ast.AST | None]]


def changes(node: ast.AST) -> Iterator[Change]:
    """Yield the changes of a node: their names, and functions that make the new node (None: no statement)."""
    if isinstance(node, ast.Compare | ast.BinOp | ast.BoolOp | ast.AugAssign):
        operator = node.ops[0] if isinstance(node, ast.Compare) else node.op
        if type(operator) in SWAPS:
            yield f"{type(operator).__name__} -> {SWAPS[type(operator)].__name__}", _swap
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield f"drop {type(node.op).__name__}", lambda new: new.operand  # type: ignore[attr-defined]
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        yield f"{node.value} changed", _constant
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield "condition negated", _negate
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield "return None", _return_none
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await):
        yield "statement dropped", lambda new: None
    if isinstance(node, ast.AugAssign):
        yield "statement dropped", lambda new: None
    if isinstance(node, ast.Call):
        for index, keyword in enumerate(node.keywords):
            if keyword.arg and keyword.arg != "strict":
                yield f"argument {keyword.arg} dropped", partial(_drop_keyword, index=index)


def _swap(node: ast.AST) -> ast.AST:
    if isinstance(node, ast.Compare):
        node.ops[0] = SWAPS[type(node.ops[0])]()  # type: ignore[assignment]
    else:
        node.op = SWAPS[type(node.op)]()  # type: ignore[attr-defined]
    return node


def _constant(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.Constant)
    value = node.value
    node.value = (not value) if isinstance(value, bool) else value + 1  # type: ignore[operator]
    return node


def _negate(node: ast.AST) -> ast.AST:
    node.test = ast.UnaryOp(ast.Not(), node.test)  # type: ignore[attr-defined]
    return node


def _return_none(node: ast.AST) -> ast.AST:
    node.value = ast.Constant(None)  # type: ignore[attr-defined]
    return node


def _drop_keyword(node: ast.AST, index: int) -> ast.AST:
    del node.keywords[index]  # type: ignore[attr-defined]
    return node


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _skipped(tree: ast.AST) -> set[int]:
    """Return the ids of nodes that are not mutated: messages, assertions, annotations, what only types need.

    The keyword ``strict`` of zip asserts equal lengths.
    """
    roots: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert):
            roots.append(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            base = node.func.value
            roots += [node] if isinstance(base, ast.Name) and base.id in SILENT else []
        elif isinstance(node, ast.keyword) and node.arg == "strict":
            roots.append(node)
        elif isinstance(node, ast.FunctionDef):
            roots += [*node.decorator_list, *([node.returns] if node.returns else [])]
        elif isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            roots.append(node.annotation)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            roots.append(node)
    inside = {id(child) for root in roots for child in ast.walk(root)}
    logs = {id(node) for node in ast.walk(tree) if isinstance(node, ast.Expr) and id(node.value) in inside}
    return inside | logs


def _statements(tree: ast.AST) -> dict[int, tuple[tuple[int, int], bool]]:
    """Return the lines of each statement (the header of one with a body), and whether import runs it."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inside = {id(child) for node in functions for part in node.body for child in ast.walk(part)}
    lines: dict[int, tuple[tuple[int, int], bool]] = {}
    for node in ast.walk(tree):  # outer statements first: the innermost has the last word
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            end = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno
            place = (node.lineno, end), id(node) not in inside
            lines |= {id(child): place for child in ast.walk(node)}
    return lines


def mutants_of(path: Path) -> list[Mutant]:
    """Return all mutants of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped, statements = _skipped(tree), _statements(tree)
    return [
        Mutant(str(path.relative_to(ROOT)), number, index, *statements[id(node)], what)
        for number, node in enumerate(ast.walk(tree))
        if id(node) not in skipped
        for index, (what, _) in enumerate(changes(node))
    ]


def mutated(mutant: Mutant) -> str:
    """Return the source of a mutant's module."""
    tree = ast.parse((ROOT / mutant.path).read_text(encoding="utf-8"))
    target = list(ast.walk(tree))[mutant.node]
    new = list(changes(target))[mutant.change][1](copy.deepcopy(target))

    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            if node is target:
                return new if new is not None else ast.Pass()
            return self.generic_visit(node)

    return ast.unparse(ast.fix_missing_locations(Replace().visit(tree)))


def sample(floors: list[str], count: int, seed: int) -> list[Mutant]:
    """Return a simple random sample of the mutants of some floors, in random order: each is as likely."""
    folders = [ROOT / "src" / "hepfm" / floor for floor in floors]
    modules = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    mutants = [mutant for path in modules for mutant in mutants_of(path)]
    return random.Random(seed).sample(mutants, min(count, len(mutants)))
