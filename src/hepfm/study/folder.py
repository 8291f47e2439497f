"""The directory of a study: a workspace of runs, the study as it was run last, and its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hepfm.core.files import read_json, write_json
from hepfm.workflow.folder import Workspace


class StudyFolder(Workspace):
    """The directory of a study."""

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report"

    def write_study(self, values: dict[str, Any]) -> None:
        """Keep the study as it was run last."""
        write_json(self.path / "study.json", values)

    def last_study(self) -> dict[str, Any] | None:
        """Return the study that this directory was last used for; None for a new one."""
        path = self.path / "study.json"
        return read_json(path) if path.exists() else None
