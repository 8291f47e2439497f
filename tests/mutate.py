"""Mutation testing on a random sample: do the tests notice a small change of the source?

    make mutation

There are some ten thousand possible changes and the suite takes minutes, so a sample is drawn, with equal
numbers from each floor. Each mutant meets the test files that name its module and those of its floor, until
one test fails or the time is over. The call goes on where an earlier one with the same output was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mutants import FLOORS, ROOT, Mutant, mutated, sample

PROMISING = 3
"""So many files are tried before the rest of the floor."""


def files_for(path: str) -> list[str]:
    """Return the test files of a module, the most promising first: those that name it, then its folder's."""
    parts = Path(path).with_suffix("").parts[2:]  # without src/hepfm
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    names = re.compile(rf"hepfm\.{re.escape(module)}\b")
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    folder = [file for file in files if file.relative_to(ROOT).parts[1] == parts[0]]
    folder = folder or [file for file in files if f"hepfm.{parts[0]}." in texts[file]]
    like = [file for file in folder if parts[-1].split("_")[0] in file.stem]
    direct = [file for file in files if names.search(texts[file])]
    direct.sort(key=lambda file: (parts[-1] not in file.stem, file not in folder))
    return [str(file.relative_to(ROOT)) for file in dict.fromkeys([*direct, *like, *folder])]


def outcome(mutant: Mutant, overlay: Path, limit: float) -> tuple[str, str]:
    """Return how the tests end with a mutant, ``killed``, ``survived`` or ``timeout``, and what killed it."""
    target = overlay / Path(mutant.path).relative_to("src")
    original = target.read_text(encoding="utf-8")
    target.write_text(mutated(mutant), encoding="utf-8")
    try:
        return _in_stages(files_for(mutant.path), overlay, time.monotonic() + limit)
    finally:
        target.write_text(original, encoding="utf-8")


def _in_stages(files: list[str], overlay: Path, end: float) -> tuple[str, str]:
    """Run the most promising files alone before the rest, for collecting a whole floor is slow."""
    assert files
    result = "survived", ""
    for stage in (files[:PROMISING], files[PROMISING:]):
        if stage and result[0] == "survived":
            result = run(stage, overlay, max(1.0, end - time.monotonic()))
    return result


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
    # Hypothesis is imported before pytest can rewrite it: a warning, and here warnings are errors.
    ignored = "ignore::pytest.PytestAssertRewriteWarning"
    killer = Killer(report)
    return int(pytest.main(["-x", "-q", "-W", ignored, "-p", "no:cacheprovider", *tests], [killer]))


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
    import pyarrow.parquet  # noqa: F401
    import pydantic  # noqa: F401
    import pytest  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    import torch

    torch.set_num_threads(1)
    os.chdir(ROOT)
    lines = options.output.read_text(encoding="utf-8").splitlines() if options.output.exists() else []
    known = {json.loads(line)["mutant"] for line in lines}
    first, step = map(int, options.part.split("/"))
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder) / "src"
        shutil.copytree(ROOT / "src", overlay, ignore=shutil.ignore_patterns("__pycache__"))
        control, what = run(["tests/train/test_ema.py"], overlay, 600.0)
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
