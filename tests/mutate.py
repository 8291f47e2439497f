"""Mutation testing on a random sample: do the tests notice a small change of the source?

    make mutation

There are some ten thousand possible changes and the suite takes minutes, so a sample is drawn. A run of the
suite under coverage has shown which tests run which lines; a mutant meets those of its statement, until one
fails or their time is over. All tests that killed are run once more on the unchanged source: where one fails
there, too, its kills do not count. The call goes on where an earlier one with the same output was stopped.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from covering import BUDGET, Covering
from mutants import FLOORS, ROOT, Mutant, mutated, sample

COLUMNS = ["floor", "mutant", "change", "outcome", "test", "seconds", "argument"]


class Ending(NamedTuple):
    """How tests end: ``passed``, ``failed``, ``hung`` or ``unusable``, and the first that did not pass."""

    result: str
    by: str = ""


class Bench:
    """A copy of the source in which one mutant at a time is tried."""

    def __init__(self, folder: Path, tests: Covering) -> None:
        self.tests = tests
        self.source = folder / "src"
        self.report = folder / "failed"
        shutil.copytree(ROOT / "src", self.source, ignore=shutil.ignore_patterns("__pycache__"))

    def try_mutant(self, mutant: Mutant, batches: list[list[str]], complete: bool) -> tuple[str, str]:
        """Return the outcome, ``killed``, ``hung``, ``survived`` or ``undecided``, and the killing test."""
        for batch in batches:
            ending = self._with_change(mutant, batch)
            if ending.result != "passed":
                return {"hung": "hung"}.get(ending.result, "killed"), ending.by
        return ("survived" if complete else "undecided"), ""

    def _with_change(self, mutant: Mutant, tests: list[str]) -> Ending:
        target = self.source / Path(mutant.path).relative_to("src")
        original = target.read_text(encoding="utf-8")
        target.write_text(mutated(mutant), encoding="utf-8")
        try:
            ending = self.run(tests)
            if ending.result == "unusable":  # a name of a parametrised test has changed: take the whole files
                ending = self.run(sorted({test.split("::")[0] for test in tests}))
            # Not even whole files: the shared conftest cannot be imported any more.
            return Ending("failed", "tests/conftest.py") if ending.result == "unusable" else ending
        finally:
            target.write_text(original, encoding="utf-8")

    def run(self, tests: list[str]) -> Ending:
        """Run tests in a fork of this process, which has imported what is slow to import."""
        self.report.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            os.setsid()
            code = 99
            try:  # whatever happens, the child must not return: it would clean up for its parent
                code = self._pytest(tests)
            finally:
                os._exit(code)
        end = time.monotonic() + 120.0 + 5 * self.tests.seconds(tests)
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return self._ending(os.waitstatus_to_exitcode(status))
            time.sleep(0.05)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return Ending("hung")

    def _ending(self, code: int) -> Ending:
        if self.report.exists():
            return Ending("failed", self.report.read_text(encoding="utf-8"))
        if code in (0, 5):  # 5: all were skipped
            return Ending("passed")
        if code == 4:
            return Ending("unusable")
        raise RuntimeError(f"pytest ended with {code} and no failed test")

    def _pytest(self, tests: list[str]) -> int:
        import pytest

        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.environ["PYTHONPATH"] = str(self.source)
        sys.path.insert(0, str(self.source))
        # Hypothesis is imported before pytest can rewrite it: a warning, and here warnings are errors.
        quiet = ["-q", "-W", "ignore::pytest.PytestAssertRewriteWarning", "-p", "no:cacheprovider"]
        return int(pytest.main(["-x", *quiet, *tests], [FirstFailure(self.report)]))


class FirstFailure:
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
        if not self.report.exists():
            self.report.write_text("tests/conftest.py", encoding="utf-8")


Plan = tuple[Mutant, list[list[str]], bool]
"""A mutant, its tests in batches, and whether those are all that run its statement."""


def work(plans: list[Plan], tests: Covering, output: Path) -> None:
    """Try mutants, one after the other, and add a row for each to the output."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), tests)
        control = bench.run(["tests/train/test_ema.py"])
        if control.result != "passed":
            raise SystemExit(f"the unchanged source does not pass its tests: {control}")
        for mutant, batches, complete in plans:
            start = time.monotonic()
            outcome, by = bench.try_mutant(mutant, batches, complete)
            row = [mutant.floor, mutant.key, mutant.what, outcome, by, f"{time.monotonic() - start:.0f}", ""]
            with output.open("a", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow(row)
            print(*row, flush=True)


def control(output: Path, tests: Covering) -> None:
    """Run what killed on the unchanged source; kills by what fails there are undecided."""
    with output.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    killers = sorted({row["test"] for row in rows if row["outcome"] == "killed"} - {"tests/conftest.py"})
    unsound = set()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), tests)
        while killers and (ending := bench.run(killers)).result != "passed":
            if ending.result != "failed":
                raise SystemExit(f"the tests that killed cannot be run on the unchanged source: {ending}")
            unsound.add(ending.by)
            killers = [test for test in killers if test != ending.by]
    for row in rows:
        if row["test"] in unsound:
            row["outcome"] = "undecided"
            row["argument"] = "what failed fails on the unchanged source, too"
    with output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def summary(output: Path) -> str:
    """Return the fractions killed, with 95 % Wilson intervals; what is undecided counts as a survivor."""
    from scipy.stats import binomtest

    with output.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = []
    for floor in [*sorted({row["floor"] for row in rows}), "all"]:
        outcomes = [row["outcome"] for row in rows if floor in ("all", row["floor"])]
        killed = sum(outcome in ("killed", "hung") for outcome in outcomes)
        low, high = binomtest(killed, len(outcomes)).proportion_ci(method="wilson")
        counts = ", ".join(f"{outcomes.count(kind)} {kind}" for kind in ("hung", "survived", "undecided"))
        fraction = f"{killed / len(outcomes):.0%} ({low:.0%} to {high:.0%})"
        lines.append(f"{floor:<12}{killed} of {len(outcomes)} killed: {fraction}; {counts}")
    return "\n".join(lines)


def main() -> None:
    """Draw a sample and run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--floors", default=",".join(FLOORS))
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds of tests for each mutant")
    parser.add_argument("--coverage", type=Path, required=True, help="from pytest --cov-context=test")
    parser.add_argument("--durations", type=Path, required=True, help="from pytest --durations=0 -vv")
    parser.add_argument("--output", type=Path, required=True, help="a CSV file; an existing one is continued")
    options = parser.parse_args()
    output = options.output.resolve()
    tests = Covering(options.coverage.resolve(), options.durations.resolve(), options.budget)
    mutants = sample(options.floors.split(","), options.count, options.seed)
    if not output.exists():
        output.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    known = {row.split(",")[1] for row in output.read_text(encoding="utf-8").splitlines()}
    # All is read before the workers are forked: a forked CoverageData empties its file.
    plans = [(mutant, *tests.batches(mutant)) for mutant in mutants if mutant.key not in known]
    import hypothesis  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import pydantic  # noqa: F401
    import pytest  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    import torch

    torch.set_num_threads(1)
    os.chdir(ROOT)
    workers = []
    for job in range(options.jobs):
        workers.append(os.fork())
        if workers[-1] == 0:
            work(plans[job :: options.jobs], tests, output)
            os._exit(0)
    codes = [os.waitpid(worker, 0)[1] for worker in workers]
    control(output, tests)
    print(summary(output))
    sys.exit(any(codes))


if __name__ == "__main__":
    main()
