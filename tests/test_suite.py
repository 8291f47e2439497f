"""The suite itself: folders can be run together, and files do not hide one another."""

from __future__ import annotations

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
    names = collections.Counter(path.name for path in TESTS.rglob("*.py"))
    del names["conftest.py"]
    assert [name for name, count in names.items() if count > 1] == []
