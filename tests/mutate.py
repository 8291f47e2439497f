"""Mutation testing on a random sample: do the tests notice a small change of the source?

    python tests/mutate.py --floors metrics,objectives --per-floor 30 --seed 1 --output mutants.jsonl

There are some ten thousand possible changes and the suite takes minutes, so a sample is drawn, with equal
numbers from each floor. Each mutant meets the test files that name its module and those of its floor, until
one test fails or the time is over. The call goes on where an earlier one with the same output was stopped.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FLOORS = ("metrics", "objectives", "tasks", "inference", "train", "data")
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
    line: int
    what: str

    @property
    def key(self) -> str:
        """Name in the results."""
        return f"{self.path}:{self.line}:{self.node}.{self.change}"


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
            if keyword.arg:
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
    """Return the ids of nodes that are not mutated: messages, annotations, decorators, imports for types."""
    roots: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert):
            roots.append(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            base = node.func.value
            roots += [node] if isinstance(base, ast.Name) and base.id in SILENT else []
        elif isinstance(node, ast.FunctionDef):
            roots += [*node.decorator_list, *([node.returns] if node.returns else [])]
        elif isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            roots.append(node.annotation)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            roots.append(node)
    inside = {id(child) for root in roots for child in ast.walk(root)}
    logs = {id(node) for node in ast.walk(tree) if isinstance(node, ast.Expr) and id(node.value) in inside}
    return inside | logs


def mutants_of(path: Path) -> list[Mutant]:
    """Return all mutants of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = _skipped(tree)
    return [
        Mutant(str(path.relative_to(ROOT)), number, index, getattr(node, "lineno", 0), what)
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


def files_for(path: str) -> list[str]:
    """Return the test files of a module, the most promising first: those that name it, then its folder's."""
    parts = Path(path).with_suffix("").parts[2:]  # without src/hepfm
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    names = re.compile(rf"hepfm\.{re.escape(module)}\b")
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    folder = [file for file in files if file.relative_to(ROOT).parts[1] == parts[0]]
    like = [file for file in folder if parts[-1].split("_")[0] in file.stem]
    direct = [file for file in files if names.search(file.read_text(encoding="utf-8"))]
    direct.sort(key=lambda file: (parts[-1] not in file.stem, file not in folder))
    return [str(file.relative_to(ROOT)) for file in dict.fromkeys([*direct, *like, *folder])]


def outcome(mutant: Mutant, overlay: Path, limit: float) -> tuple[str, str]:
    """Return how the tests end with a mutant, ``killed``, ``survived`` or ``timeout``, and what killed it."""
    target = overlay / Path(mutant.path).relative_to("src")
    original = target.read_text(encoding="utf-8")
    target.write_text(mutated(mutant), encoding="utf-8")
    try:
        return run(files_for(mutant.path), overlay, limit)
    finally:
        target.write_text(original, encoding="utf-8")


def run(tests: list[str], overlay: Path, limit: float) -> tuple[str, str]:
    """Run tests in a fork of this process, which has imported what is slow to import."""
    report = overlay.parent / "killer"
    report.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        os.setsid()
        code = 99
        try:  # whatever happens, the child must not return: it would clean up for its parent
            code = _pytest(tests, overlay, report)
        finally:
            os._exit(code)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return _ending(os.waitstatus_to_exitcode(status), report)
        time.sleep(0.1)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout", ""


def _ending(code: int, report: Path) -> tuple[str, str]:
    if code == 0:
        return "survived", ""
    # A kill needs the name of what failed: pytest that does not even start must not look like a good suite.
    if report.exists():
        return "killed", report.read_text(encoding="utf-8")
    if code == 4:  # the control has shown that the shared conftest can be imported without the change
        return "killed", "tests/conftest.py"
    raise RuntimeError(f"pytest ended with {code} and no failed test; run it by hand on the unchanged source")


class Killer:
    """Writes the name of the first test (or file, where its import fails) that does not pass."""

    def __init__(self, report: Path) -> None:
        self.report = report

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note a failed test."""
        self.pytest_collectreport(report)

    def pytest_collectreport(self, report: Any) -> None:
        """Note a file that cannot be imported."""
        if report.failed and not self.report.exists():
            self.report.write_text(report.nodeid, encoding="utf-8")

    def pytest_internalerror(self, excrepr: Any) -> None:
        """Note that the change broke what the tests are run by (the shared conftest)."""
        self.report.write_text("tests/conftest.py", encoding="utf-8")


def _pytest(tests: list[str], overlay: Path, report: Path) -> int:
    import pytest

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.environ["PYTHONPATH"] = str(overlay)
    sys.path.insert(0, str(overlay))
    sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
    # Hypothesis is imported before pytest can rewrite it: a warning, and here warnings are errors.
    ignored = "ignore::pytest.PytestAssertRewriteWarning"
    killer = Killer(report)
    return int(pytest.main(["-x", "-q", "-W", ignored, "-p", "no:cacheprovider", *tests], [killer]))


def sample(floors: list[str], count: int, seed: int) -> list[Mutant]:
    """Return mutants in random order, the same number of each floor."""
    chosen = []
    for floor in floors:
        mutants = [
            mutant
            for path in sorted((ROOT / "src" / "hepfm" / floor).rglob("*.py"))
            for mutant in mutants_of(path)
        ]
        chosen.append(random.Random(f"{seed}-{floor}").sample(mutants, min(count, len(mutants))))
    return [mutant for row in zip(*chosen, strict=False) for mutant in row]


def main() -> None:
    """Draw a sample and run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--floors", default=",".join(FLOORS))
    parser.add_argument("--per-floor", type=int, default=30)
    parser.add_argument("--part", default="0/1", help="every N-th mutant from the I-th, as I/N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of tests for each mutant")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    import hypothesis  # noqa: F401
    import pytest  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch

    torch.set_num_threads(1)
    os.chdir(ROOT)
    lines = options.output.read_text(encoding="utf-8").splitlines() if options.output.exists() else []
    known = {json.loads(line)["mutant"] for line in lines}
    first, step = map(int, options.part.split("/"))
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder) / "src"
        shutil.copytree(ROOT / "src", overlay, ignore=shutil.ignore_patterns("__pycache__"))
        control, what = run(["tests/core/test_files.py", "tests/train/test_ema.py"], overlay, 600.0)
        if control != "survived":
            raise SystemExit(f"the unchanged source does not pass its tests: {control} {what}")
        for mutant in sample(options.floors.split(","), options.per_floor, options.seed)[first::step]:
            if mutant.key in known:
                continue
            start = time.monotonic()
            result, by = outcome(mutant, overlay, options.limit)
            seconds = round(time.monotonic() - start, 1)
            row = {
                "mutant": mutant.key,
                "what": mutant.what,
                "outcome": result,
                "by": by,
                "seconds": seconds,
            }
            with options.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(result, mutant.key, mutant.what, seconds, by, flush=True)


if __name__ == "__main__":
    main()
