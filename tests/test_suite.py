"""The suite itself: folders can be run together, and no two files or classes have one name."""

from __future__ import annotations

import ast
import collections
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


def test_folders_with_fixtures_of_their_own_can_be_collected_together() -> None:
    folders = sorted(path.parent for path in TESTS.rglob("conftest.py") if path.parent != TESTS)
    assert len(folders) > 1
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=TESTS.parent)
    assert done.returncode == 0, done.stdout[-2000:]


def test_no_two_files_have_one_name() -> None:
    """Folders are no packages: a module's name is that of its file alone."""
    files = [path.relative_to(TESTS) for path in TESTS.rglob("*.py") if path.name != "conftest.py"]
    count = collections.Counter(path.name for path in files)
    clashing = [str(path) for path in files if count[path.name] > 1]
    assert not clashing, (
        f"pytest stops at files of one name; rename one of each: {', '.join(sorted(clashing))}"
    )


def test_no_two_classes_have_one_name() -> None:
    source = TESTS.parent / "src" / "hepfm"
    names = collections.Counter(
        node.name
        for path in source.rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert len(names) > 400
    assert [name for name, count in names.items() if count > 1] == []
