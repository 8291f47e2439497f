"""What a study's report shows besides its results: the jets that the study simulated."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

from hepfm.data.store import Store
from hepfm.study.folder import StudyFolder
from hepfm.study.study_report import _galleries
from hepfm.workflow.run import Run


def test_simulated_jets_are_shown_and_nothing_else(
    tmp_path: Path, jet_store: Store, tops: Store, shower_store: Store
) -> None:
    folder = StudyFolder(tmp_path)
    runs = {}
    for store, verb, note in (
        (jet_store, "simulate", "ten classes"),
        (shower_store, "simulate", "showers"),
        (tops, "generate", "generated"),
        (tops, "simulate", "not finished"),
    ):
        run = Run(verb, {"of": note}, note=note)
        shutil.copytree(store.path, folder.run(run.name).store)
        runs[run.name] = run
    states = {name: "failed" if run.note == "not finished" else "done" for name, run in runs.items()}
    plan = SimpleNamespace(runs=runs)
    (part,) = _galleries(plan, folder, states)  # type: ignore[arg-type]
    assert part.title == "The jets of ten classes"
    assert "store1-jet-9" in part.tables
