"""What the scripts of evidence share: folders that are made once, and tables."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data"


def once(path: Path, make: Callable[[Path], object]) -> Path:
    """Make a folder unless it is there; what was left half-made is removed first."""
    done = path.with_suffix(".done")
    if not done.exists():
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)
        done.write_text("")
    return path


def write(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write a table into docs/data as CSV, unless it has no rows."""
    if rows:
        with (DATA / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
