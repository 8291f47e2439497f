"""The commit is that of the package, not of the folder one works in."""

import subprocess
from pathlib import Path

import hepfm
from hepfm.core.provenance import code_commit


def test_the_commit_is_the_packages_own(tmp_path, monkeypatch):
    folder = Path(hepfm.__file__).parent
    found = subprocess.run(
        ["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.chdir(tmp_path)
    expected = found.stdout.strip() if found.returncode == 0 else None
    assert (code_commit() or "").removesuffix("+changed") == (expected or "")


def test_no_git_is_no_error(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert code_commit() is None
