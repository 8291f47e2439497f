"""A study whose tasks are classification and regression of named fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from study_values import small_study

from hepfm.core.errors import ConfigError
from hepfm.core.files import read_json
from hepfm.data.store import Store
from hepfm.study.study import study
from hepfm.tasks.result_folder import read_result

pytestmark = pytest.mark.enable_socket  # Dask talks to itself

FIELD = "jet_softdrop_mass"


def values(store: Store, **objective: Any) -> dict[str, Any]:
    """Return a study of a regression and of a classification on one store."""
    small = small_study(store.path, store.path)
    shared = {**small["downstream"]["top_tagging"], "budgets": [100]}
    mass = {
        **shared,
        "task": {"name": "regression", "field": FIELD, "groups": "jet_label"},
        "objective": {"name": "supervised", **objective},
    }
    top = {**shared, "task": {"name": "classification", "signal": "Tbqq", "efficiencies": [0.4]}}
    return {**small, "seeds": {"replicates": [1]}, "downstream": {"mass": mass, "top": top}}


def test_tasks_with_options_run_and_are_reported(jet_store: Store, tmp_path: Path) -> None:
    done = study(values(jet_store, label=FIELD), output=tmp_path / "out", processes=1)
    assert done.complete
    results = [read_result(path.parent) for path in (tmp_path / "out").glob("runs/evaluate-*/*/results.json")]
    by_task = {result.task.name: result.task.options for result in results}
    assert by_task["regression"]["field"] == FIELD
    assert len(by_task["classification"]["background"]) == 9
    (regression,) = (
        {metric.name for metric in result.metrics}
        for result in results
        if result.task.name == "regression" and result.training.init == "scratch"
    )
    assert "residual_mae" in regression
    assert any(name.startswith("residual_mae_") for name in regression), "of a group of jets"
    assert done.report is not None
    page = done.report.read_text()
    assert "mean absolute error [GeV]" in page
    assert "AUC of Tbqq (one vs rest)" in page


def test_a_recipe_that_learns_something_else_is_refused(jet_store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        study(values(jet_store), output=tmp_path / "out")
    assert "task 'mass', size 'tiny': the recipe learns jet_label and the task 'regression' measures" in str(
        error.value
    )
    assert "set the objective to {'name': 'supervised', 'label': 'jet_softdrop_mass'}" in str(error.value)
    wrong = values(jet_store, label=FIELD)
    wrong["downstream"]["top"]["task"]["signal"] = "Tbq"
    with pytest.raises(ConfigError, match=r"task 'top', size 'tiny': .*no class 'Tbq'; did you mean 'Tbqq'"):
        study(wrong, output=tmp_path / "out")
    wrong["contrasts"] = {
        "a": {"contrast": "classification - scratch", "family": "f", "task": "mass", "metric": "mae"}
    }
    with pytest.raises(ConfigError, match=r"contrasts.a.metric: the task 'regression' has no 'mae'"):
        study(wrong, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weak_supervision_a_test_elsewhere_and_heads_fitted_at_once(jet_store: Store, tmp_path: Path) -> None:
    small = small_study(jet_store.path, jet_store.path)
    top = {**small["downstream"]["top_tagging"], "budgets": [100]}
    fitted = {**top["recipe"], "mode": "knn", "data": {"store": "", "validation_fraction": 0.3}}
    tagging = {"name": "classification", "signal": "Tbqq", "background": "QCD"}
    stores = {**small["stores"], "weak": {"mix": "top", "signal": "Tbqq", "background": "QCD", "count": 20}}
    downstream = {
        "elsewhere": {**top, "task": tagging, "test": "weak"},
        "weak": {
            **top,
            "store": "weak",
            "budgets": [None],
            "task": {"name": "classification", "signal": "mixed"},
        },
        "neighbours": {**top, "task": tagging, "recipe": fitted},
    }
    values = {
        **small,
        "stores": stores,
        "seeds": {"replicates": [1]},
        "arms": {"scratch": None, "members": {"objective": "supervised", "options": {"data": {"rows": 50}}}},
        "downstream": downstream,
        "search": {"learning_rates": [1e-3, 1e-2]},
    }
    with pytest.raises(ConfigError, match="'sample' of the store 'weak' has no class 'QCD'"):
        study(values, output=tmp_path / "out")
    downstream["elsewhere"]["task"] = {**tagging, "field": "jet_label"}
    done = study(values, output=tmp_path / "out", processes=1)
    assert done.complete
    assert done.report is not None
    page = done.report.read_text()
    assert "members: {&#34;data&#34;: {&#34;rows&#34;: 50}}" in page
    assert "elsewhere: trained on the store" in page
    runs = [read_json(path) for path in (tmp_path / "out").glob("runs/finetune-*/run.json")]
    by_mode = [run["values"]["recipe"]["mode"]["name"] for run in runs]
    # Two arms each: two rates for either task, and one fit where there is no rate.
    assert sorted(by_mode) == ["full"] * 8 + ["knn"] * 2
    measured = [read_json(path) for path in (tmp_path / "out").glob("runs/evaluate-*/run.json")]
    on_mixture = [run["values"]["task"] for run in measured if "store" in run["parents"]]
    assert len(measured) == 6
    assert {task.get("field") for task in on_mixture} == {"jet_label", None}
    assert len(on_mixture) == 4
