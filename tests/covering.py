"""Which tests run a line of the source, and how long they take: from one run of the suite under coverage."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from pathlib import Path

from coverage import CoverageData
from mutants import ROOT, Mutant

BUDGET = 120.0
"""Seconds of tests, as the run under coverage took them, that a mutant meets at most."""
FIRST = 12.0
"""Seconds of the first batch: most mutants die in it, and a long list of tests is slow to collect."""
FAR = 15.0
"""Seconds by which a file that neither names the module nor lies in its floor's folder comes later."""
GROUP = re.compile(r"@[\w-]+$")
"""What pytest-xdist adds to the name of a test that shares a worker with others."""
DURATION = re.compile(r"^([\d.]+)s (setup|call|teardown) +(tests/.+?)\s*$")


class Covering:
    """The tests of each line.

    Parameters
    ----------
    coverage
        What pytest wrote with ``--cov --cov-context=test``.
    durations
        What it printed with ``--durations=0 -vv``: a test's fixtures apart from its call, since those of a
        file are made once for all its tests.
    budget
        Seconds of tests for each mutant.
    """

    def __init__(self, coverage: Path, durations: Path, budget: float = BUDGET) -> None:
        self._data = CoverageData(str(coverage))
        self._data.read()
        self._measured = {name.split("/src/hepfm/", 1)[1]: name for name in self._data.measured_files()}
        self._call: dict[str, float] = defaultdict(float)
        self._setup: dict[str, float] = defaultdict(float)
        for line in durations.read_text(encoding="utf-8").splitlines():
            if match := DURATION.match(line):
                test = GROUP.sub("", match[3])
                if match[2] == "call":
                    self._call[test] += float(match[1])
                else:
                    self._setup[_file(test)] += float(match[1])
        self._all = {pair[0] for name in self._data.measured_contexts() if (pair := self._pair(name))}
        self._texts = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in _files()}
        self._budget = budget

    def seconds(self, tests: list[str]) -> float:
        """Return how long tests (or whole files) take, with the fixtures of their files."""
        whole = {test for test in tests if "::" not in test}
        calls = {test for test in self._all if _file(test) in whole} | (set(tests) - whole)
        return sum(self._call[test] for test in calls) + sum(
            self._setup[file] for file in set(map(_file, calls))
        )

    def batches(self, mutant: Mutant) -> tuple[list[list[str]], bool]:
        """Return a statement's tests in batches, the likeliest first, and whether those are all."""
        first: list[str] = []
        rest: list[str] = []
        spent, complete = 0.0, True
        for file, tests in self._by_file(mutant):
            for number, test in enumerate(tests):
                cost = self._call[test] + (0.0 if number else self._setup[file])
                if spent and spent + cost > self._budget:
                    complete = False
                    break
                spent += cost
                (rest if rest or (first and spent > FIRST) else first).append(test)
        return [batch for batch in (first, rest) if batch], complete

    def _by_file(self, mutant: Mutant) -> list[tuple[str, list[str]]]:
        """Return the tests of a mutant file by file, each in the order in which they are to be run."""
        contexts = self._contexts(mutant.path)
        begin, end = mutant.lines
        on_lines = [context for line in range(begin, end + 1) for context in contexts.get(line, ())]
        # What a fixture or an import runs is recorded for the first test that needs it only.
        shared = {_file(test) for test, phase in on_lines if phase != "run" or mutant.at_import}
        # A statement that is run at import (or only in another process) has all tests of its module.
        if mutant.at_import or not on_lines:
            on_lines += [context for line in contexts.values() for context in line]
        direct = {test for test, phase in on_lines if phase == "run"}
        near = self._near(mutant)
        files: dict[str, list[str]] = defaultdict(list)
        for test in self._all:
            file = _file(test)
            if test in direct or file in shared or (not on_lines and file in near):
                files[file].append(test)
        for tests in files.values():
            tests.sort(key=lambda test: (test not in direct, self._call[test], test))
        return sorted(
            files.items(), key=lambda item: (self.seconds(item[1]) + FAR * (item[0] not in near), item[0])
        )

    def _near(self, mutant: Mutant) -> set[str]:
        """Return the test files that name a module or lie in the folder of its floor."""
        parts = Path(mutant.path).with_suffix("").parts[2:]  # without src/hepfm
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        name = re.compile(rf"hepfm\.{re.escape(module)}\b")
        folder = f"tests/{mutant.floor}/"
        return {file for file, text in self._texts.items() if file.startswith(folder) or name.search(text)}

    @cache  # noqa: B019 - one object lives as long as the process
    def _contexts(self, path: str) -> dict[int, list[tuple[str, str]]]:
        """Return the tests and phases (setup, run, teardown) of each line of a module that a test has run."""
        name = self._measured.get(path.removeprefix("src/hepfm/"))
        lines = self._data.contexts_by_lineno(name) if name else {}
        pairs = {line: map(self._pair, contexts) for line, contexts in lines.items()}
        return {line: [pair for pair in of_line if pair] for line, of_line in pairs.items()}

    def _pair(self, context: str) -> tuple[str, str] | None:
        test, _, phase = context.rpartition("|")
        return (GROUP.sub("", test), phase) if test.startswith("tests/") else None


def _file(test: str) -> str:
    return test.split("::")[0]


def _files() -> list[Path]:
    return sorted((ROOT / "tests").rglob("test_*.py"))
