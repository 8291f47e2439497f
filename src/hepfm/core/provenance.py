"""Which code ran: the version of the package and, for a checkout, its commit."""

from __future__ import annotations

import subprocess
from pathlib import Path


def code_commit() -> str | None:
    """Return the git commit of the checkout that this package runs from; ``+changed`` if files differ.

    None for an installed package, wherever it is called from.
    """
    folder = Path(__file__).parent
    try:
        tracked = _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)
        commit = _git(folder, "rev-parse", "HEAD") if tracked else ""
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", "../") if commit else ""
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changed" if changed else commit or None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
