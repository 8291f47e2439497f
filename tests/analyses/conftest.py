"""Analyses of toy stores, whose runs are done in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hepfm.analyses.analysis import Analysis, AnalysisResult, analyse, checked
from hepfm.workflow.child import execute
from hepfm.workflow.folder import Workspace

sys.path.insert(0, str(Path(__file__).parents[1] / "methods"))

Finish = Callable[..., AnalysisResult]


@pytest.fixture
def finish() -> Finish:
    """Return a function that does the runs of an analysis and reports."""

    def run(analysis: Analysis, folder: Path) -> AnalysisResult:
        for one in checked(analysis).runs.values():
            execute(Workspace(folder), one)
        return analyse(analysis, output=folder, report_only=True)

    return run
