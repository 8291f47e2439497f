"""Which code ran, and records without paths of a user's machine."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any


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


_FOLDERS = re.compile(r"(?<![\w:/.~])(?:file://)?~?/(?:[^/\s'\"=,;:]+/)+")
"""The folders of an absolute path in a text; does not match addresses (``https://...``)."""


def without_places(value: Any) -> Any:
    """Return JSON-ready values with absolute paths, in keys and texts too, reduced to the name of the file.

    >>> without_places({"model": "/home/me/runs/a/model", "lines": ["Beams:LHEF = /data/x/events.lhe"]})
    {'model': 'model', 'lines': ['Beams:LHEF = events.lhe']}
    """
    if isinstance(value, Mapping):
        return {without_places(key): without_places(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(inner) for inner in value]
    if isinstance(value, PurePath):
        return value.name if value.is_absolute() else str(value)
    if not isinstance(value, str):
        return value
    if value.startswith(("/", "~/", "file:///")) and "\n" not in value:
        return PurePath(value).name
    return _FOLDERS.sub("", value)


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
