"""Which tests run a line of the source, and how long they take: from one run of the suite under coverage."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

from coverage import CoverageData
from mutants import ROOT, Mutant

BUDGET = 150.0
"""Seconds of tests, as the run under coverage took them, that a mutant meets at most."""
FIRST = 10.0
"""Seconds of the first batch: most mutants die in it, and a long list of tests is slow to collect."""
FIRST_COUNT = 60
GROUP = re.compile(r"@[\w-]+$")
"""What pytest-xdist adds to the name of a test that shares a worker with others."""


class Covering:
    """The tests of each line."""

    def __init__(self, coverage: Path, durations: Path, budget: float = BUDGET) -> None:
        """Read what pytest wrote with ``--cov --cov-context=test`` and with ``--junitxml``."""
        self._data = CoverageData(str(coverage))
        self._data.read()
        self._measured = {name.split("/src/hepfm/", 1)[1]: name for name in self._data.measured_files()}
        self._seconds = _durations(durations)
        self._texts = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in _files()}
        self._budget = budget

    def seconds(self, tests: list[str]) -> float:
        """Return how long tests (or whole files) took."""
        chosen = set(tests)
        return sum(
            seconds
            for test, seconds in self._seconds.items()
            if test in chosen or test.split("::")[0] in chosen
        )

    def batches(self, mutant: Mutant) -> tuple[list[list[str]], bool]:
        """Return a statement's tests in batches, the likeliest first, and whether those are all."""
        tests = self._tests(mutant)
        batches: list[list[str]] = [[], []]
        spent = 0.0
        for count, test in enumerate(tests):
            spent += self._seconds[test]
            if spent > self._budget and count:
                return [batch for batch in batches if batch], False
            batches[spent > FIRST or count >= FIRST_COUNT].append(test)
        return [batch for batch in batches if batch], True

    def _tests(self, mutant: Mutant) -> list[str]:
        contexts = self._contexts(mutant.path)
        first, last = mutant.lines
        on_lines = [context for line in range(first, last + 1) for context in contexts.get(line, ())]
        # A statement that is run when its module is imported (or only in another process) has no test of its
        # own: then all tests of the module are.
        on_lines = on_lines or [context for line in contexts.values() for context in line]
        direct = {test for test, phase in on_lines if phase == "run"}
        # What a fixture runs is recorded for the first test that uses it only.
        shared = {test.split("::")[0] for test, phase in on_lines if phase != "run"}
        names = self._naming(mutant)
        tiers = {
            test: 0 if test in direct else 1 if file in shared else 2
            for test in self._seconds
            if test in direct or (file := test.split("::")[0]) in shared or (not on_lines and file in names)
        }
        return sorted(
            tiers, key=lambda test: (tiers[test], test.split("::")[0] not in names, self._seconds[test], test)
        )

    def _naming(self, mutant: Mutant) -> set[str]:
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
        test = GROUP.sub("", test)
        return (test, phase) if test in self._seconds else None


def _files() -> list[Path]:
    return sorted((ROOT / "tests").rglob("test_*.py"))


def _durations(path: Path) -> dict[str, float]:
    """Return the seconds of each test that passed, by its name; doctests are left out."""
    seconds = {}
    for case in ET.parse(path).getroot().iter("testcase"):
        file = case.get("classname", "").replace(".", "/") + ".py"
        if file.startswith("tests/") and case.find("skipped") is None and case.find("failure") is None:
            seconds[GROUP.sub("", f"{file}::{case.get('name')}")] = float(case.get("time", 0))
    return seconds
