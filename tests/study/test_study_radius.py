"""Out of domain by another jet radius: a study simulates the other jets itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_values import TRAIN, small_study

from hepfm.data.store import Store
from hepfm.physics.kinematics import delta_r
from hepfm.study.folder import StudyFolder
from hepfm.study.study import prepare, study
from hepfm.tasks.result_folder import read_result

pytestmark = pytest.mark.enable_socket  # Dask talks to itself

FEW = {"train": 24, "val": 8, "test": 30}
TEST = {"train": 0, "val": 0, "test": 30}


def simulated(seed: int, rows: dict[str, int], **selection: float) -> dict[str, Any]:
    """Return a store of tops and QCD jets that a study makes."""
    options = {"only": ["QCD", "Tbqq"], "chunk_jets": 30, "batch_events": 100, "selection": selection}
    return {"simulate": "jetclass_fast", "rows": rows, "options": options, "seed": seed}


def pt_outside(store: Store, radius: float) -> float:
    """Return the share of the constituents' pt that lies farther than `radius` from the axis."""
    columns = store.read(["jet_eta", "jet_phi", "part_eta", "part_phi", "part_pt"])
    row = columns["part_pt"].row_index()
    axis = (np.asarray(columns[name], np.float64)[row] for name in ("jet_eta", "jet_phi"))
    distance = delta_r(columns["part_eta"].values, columns["part_phi"].values, *axis)
    pt = columns["part_pt"].values
    return float(pt[distance > radius].sum() / pt.sum())


def test_models_of_one_radius_are_measured_on_jets_of_another(tmp_path: Path) -> None:
    pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
    pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")
    values = small_study("", "", seeds={"replicates": [1]})
    values["stores"] = {"jets": simulated(1, FEW, radius=0.8), "wide": simulated(2, TEST, radius=1.2)}
    values["pretrain"]["store"] = "jets"
    tuned = {"store": "jets", "recipe": {"data": {"store": ""}, "train": TRAIN}, "budgets": [40]}
    values["downstream"] = {
        "top_tagging": tuned,
        "wide": {**tuned, "task": "top_tagging", "test": "wide"},
    }
    done = study(values, output=tmp_path / "study", processes=1)
    assert done.complete, done.states
    folder, plan = StudyFolder(tmp_path / "study"), prepare(values)
    stores = [Store.open(folder.run(run.name).store) for run in plan.runs.values() if run.verb == "simulate"]
    by_radius = {store.manifest.provenance["recipe"]["selection"]["radius"]: store for store in stores}
    assert set(by_radius) == {0.8, 1.2}
    assert by_radius[0.8].schema == by_radius[1.2].schema
    narrow, wide = (pt_outside(by_radius[radius], 0.85) for radius in (0.8, 1.2))
    assert narrow < 0.01 < wide
    for trial in plan.trials:
        result = read_result(folder.run(trial.evaluate).result)
        measured = by_radius[1.2 if trial.cell.task == "wide" else 0.8]
        assert result.data.fingerprint == measured.fingerprint
        assert result.data.rows == 2 * FEW["test"]
        # The numbers of the row baseline do not know the radius: it is measured on both.
        assert result.baselines[0].name == "row"
    page = (tmp_path / "study" / "report" / "report.html").read_text(encoding="utf-8")
    assert "radius 1.2" in page
