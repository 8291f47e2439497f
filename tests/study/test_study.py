"""A small study from its file to its report: real stores, real training, real failures."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML
from study_values import TRAIN, small_study

from hepfm.cli.main import group
from hepfm.core.errors import ConfigError
from hepfm.core.log import logger
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.study.cost import estimate
from hepfm.study.folder import StudyFolder
from hepfm.study.results_file import COLUMNS
from hepfm.study.study import StudyResult, prepare, study

pytestmark = pytest.mark.enable_socket  # Dask talks to itself

WILD = {"name": "weighted_sum", "terms": [{"name": "supervised", "weight": 3e38}]}
"""A loss that is infinite at the first step."""


@pytest.fixture(scope="module")
def values(jet_store: Store, tops: Store) -> dict[str, Any]:
    """The small study, with an arm that diverges."""
    arms = {"scratch": None, "classification": "supervised", "wild": WILD}
    return small_study(jet_store.path, tops.path, arms=arms)


@pytest.fixture(scope="module")
def result(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """The small study, done; do not write into it."""
    return study(values, output=tmp_path_factory.mktemp("study") / "s", processes=2)


def marks(folder: Path) -> dict[Path, int]:
    """Return when each finished run was marked and its model written."""
    found = [*folder.glob("runs/*/done.json"), *folder.glob("runs/*/run/model/model.safetensors")]
    return {path: path.stat().st_mtime_ns for path in found}


def numbers(folder: Path) -> set[tuple[str, ...]]:
    """Return arm, seeds, metric and value of every row of ``results.csv``."""
    with (folder / "results.csv").open(encoding="utf-8") as file:
        return {tuple(row[:12]) for row in csv.reader(file)}


def test_a_diverging_arm_leaves_the_others_alone(result: StudyResult) -> None:
    assert sorted(result.states.values()) == ["done"] * 10 + ["failed"] + ["skipped"] * 4
    failed = next(name for name, state in result.states.items() if state == "failed")
    failure = StudyFolder(result.path).run(failed).failure()
    assert failure is not None
    assert "the loss is inf" in failure["message"]
    assert not result.complete


def test_the_report_names_what_is_missing_and_what_is_not_resolved(result: StudyResult) -> None:
    assert result.report is not None
    page = result.report.read_text(encoding="utf-8")
    assert "DivergedError: at step 0 the loss is inf" in page
    assert "4 trials" not in page.split("</h1>")[0]
    assert "2 trials have no result" in page
    for text in ("Against scratch (exploratory)", "no verdict: not trained to a plateau"):
        assert text in page
    assert "Equal compute beside equal steps" in page
    with (result.report.parent / "csv" / "missing.csv").open(encoding="utf-8") as file:
        assert [row["arm"] for row in csv.DictReader(file)] == ["wild", "wild"]


def test_results_csv_has_a_row_for_each_metric_of_each_trial(result: StudyResult) -> None:
    with (result.path / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [column.key for column in COLUMNS]
    assert {(row["arm"], row["replicate"]) for row in rows if row["metric"] == "auc"} == {
        (arm, seed) for arm in ("scratch", "classification") for seed in ("1", "2")
    }
    auc = {(row["arm"], row["replicate"]): float(row["value"]) for row in rows if row["metric"] == "auc"}
    with next((result.report or Path()).parent.glob("csv/*-against-scratch.csv")).open() as file:
        pair = next(row for row in csv.DictReader(file) if row["metric"] == "auc")
    differences = [auc["classification", seed] - auc["scratch", seed] for seed in ("1", "2")]
    assert float(pair["mean"]) == pytest.approx(np.mean(differences))
    assert (pair["trainings_low"], pair["p"]) == ("", "")  # two replicates
    assert all(row["seed_pretrain"] == "" for row in rows if row["arm"] == "scratch")
    assert all(float(row["finetune_core_seconds"]) > 0 for row in rows)


def test_pretraining_is_counted_once_in_compute(result: StudyResult) -> None:
    with ((result.report or Path()).parent / "csv" / "compute.csv").open(encoding="utf-8") as file:
        rows = {row["arm"]: row for row in csv.DictReader(file)}
    assert float(rows["scratch"]["pretrain"]) == 0.0
    assert float(rows["classification"]["pretrain_steps"]) == TRAIN["steps"]
    assert float(rows["classification"]["total"]) == pytest.approx(
        sum(float(rows["classification"][key]) for key in ("pretrain", "search", "finetune"))
    )


def test_a_second_call_repeats_nothing_and_writes_the_same_report(
    result: StudyResult, values: dict[str, Any]
) -> None:
    before, page = marks(result.path), (result.report or Path()).read_bytes()
    again = study(values, output=result.path, processes=1)
    assert marks(result.path) == before
    assert again.states == result.states
    assert (again.report or Path()).read_bytes() == page


def test_another_study_in_the_same_directory_shares_what_is_equal(
    result: StudyResult,
    values: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = marks(result.path)
    arms = {"scratch": None, "renamed": "supervised"}
    # The command line, which earlier tests of this process may have called, keeps the messages to itself.
    monkeypatch.setattr(logger, "propagate", True)
    with caplog.at_level("INFO", logger=logger.name):
        other = study({**values, "arms": arms}, output=result.path, processes=1)
    assert "was last used for another study: 10 of these runs are done, 0 are new" in caplog.text
    assert marks(result.path) == before
    assert other.complete
    study(values, output=result.path, processes=1)


def test_dry_run_counts_and_writes_nothing(
    result: StudyResult, values: dict[str, Any], tmp_path: Path
) -> None:
    new = estimate(values, output=tmp_path / "none", processes=2)
    assert not (tmp_path / "none").exists()
    assert sum(one.runs for one in new.estimates) == len(result.states)
    assert new.core_seconds > 0
    assert new.memory > 1e8
    assert any("the loss is inf" in line for line in new.lines())
    seconds = {(one.verb, one.kind): one.seconds for one in new.estimates}
    assert seconds["pretrain", "arm 'wild', size 'tiny'"] is None
    assert seconds["evaluate", "task 'top_tagging', size 'tiny'"] is None
    assert f"unknown until one of their kind is finished: {new.unknown} runs" in new.lines()
    old = estimate({**values, "arms": {"scratch": None}}, output=result.path)
    assert (old.core_seconds, old.unknown) == (0.0, 0)
    assert sum(one.done for one in old.estimates) == 5
    assert "5 done already" in "\n".join(old.lines())


def test_finished_runs_tell_what_others_of_their_kind_cost(
    result: StudyResult, values: dict[str, Any]
) -> None:
    more = {**values, "arms": {"scratch": None}, "seeds": {"replicates": [1, 2, 3, 4]}}
    cost = estimate(more, output=result.path)
    folder = StudyFolder(result.path)
    done = [name for name, state in result.states.items() if name.startswith("evaluate") and state == "done"]
    mean = np.mean([folder.run(name).core_seconds for name in done])
    evaluations = next(one for one in cost.estimates if one.verb == "evaluate")
    assert (evaluations.runs, evaluations.done) == (4, 2)
    scratch = [
        folder.run(trial.evaluate).core_seconds
        for trial in prepare({**values, "arms": {"scratch": None}}).trials
    ]
    assert evaluations.seconds == pytest.approx(2 * np.mean(scratch))
    assert mean > 0
    tunings = next(one for one in cost.estimates if one.verb == "finetune")
    assert tunings.seconds is not None
    assert tunings.memory > 1e8


def test_a_killed_study_goes_on(values: dict[str, Any], result: StudyResult, tmp_path: Path) -> None:
    file, output = tmp_path / "small.yaml", tmp_path / "out"
    with file.open("w", encoding="utf-8") as stream:
        YAML().dump({**values, "arms": {"classification": "supervised", "scratch": None}}, stream)
    command = [sys.executable, "-m", "hepfm", "study", str(file), "-o", str(output), "--processes", "1"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 100
    while not list(output.glob("runs/*/done.json")) and time.monotonic() < end:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = marks(output)
    assert any(path.name == "done.json" for path in before)
    part = study(file, output=output, report_only=True)
    assert not part.complete
    assert marks(output) == before
    again = study(file, output=output, processes=2)
    assert again.complete
    after = marks(output)
    done = {path for path in before if path.name == "done.json"}
    assert len(done) < len(again.states)
    assert {path: after[path] for path in done} == {path: before[path] for path in done}
    assert numbers(output) == numbers(result.path)


def test_what_cannot_work_is_refused_before_anything_is_written(
    values: dict[str, Any], tops: Store, jet_columns: Any, tmp_path: Path
) -> None:
    columns = jet_columns(30, seed=3)
    columns["jet_label"] = np.zeros(30, np.int16)
    only = write_store(
        tmp_path / "only", jet_schema(("QCD", "Tbqq")), [("train", columns), ("test", columns)], provenance={}
    )
    downstream = values["downstream"]["top_tagging"]
    bad = {
        **values,
        "stores": {**values["stores"], "only": str(only)},
        "arms": {"scratch": None, "next": "flow_matching", "typo": "supervized"},
        "pretrain": {**values["pretrain"], "options": {"backbone": {"name": "particle_transformer"}}},
        "downstream": {
            "big": {**downstream, "task": "top_tagging", "budgets": [40, 5000]},
            "absent": {**downstream, "task": "top_tagging", "store": "only", "budgets": [20]},
            "wrong": {**downstream, "task": "quark_gluon"},
            "small": {**downstream, "task": "top_tagging", "budgets": [8]},
        },
    }
    with pytest.raises(ConfigError) as error:
        study(bad, output=tmp_path / "out")
    for text in (
        "arm 'next', size 'tiny': objective 'flow_matching' with backbone 'particle_transformer'",
        "arm 'typo', size 'tiny'",
        "did you mean 'supervised'",
        "task 'big', size 'tiny': data.budget asks for 5,000 rows, split 'train' of the store has 120",
        "no row of split 'train' has the class Tbqq",
        "task 'small', size 'tiny': no row of the budget is left for validation (8 rows, fraction 0.2)",
        "has the classes QCD, Tbqq; the task 'quark_gluon' needs gluon, quark",
    ):
        assert text in str(error.value), text
    assert not (tmp_path / "out").exists()


def test_a_missing_store_is_named(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"(?s)store 'pretrain'.*store 'top'"):
        prepare({**values, "stores": {"pretrain": "nowhere", "top": "nowhere/else"}})


def test_the_verb_speaks_json(values: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    with file.open("w", encoding="utf-8") as stream:
        YAML().dump({**values, "arm": {}}, stream)
    done = CliRunner().invoke(group, ["study", str(file), "--json"])
    assert done.exit_code == 2
    assert "did you mean 'arms'" in done.output
