"""Contrasts and factors of a study: refused when wrong, registered first, answered first on the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from study_values import small_study

from hepfm.core.errors import ConfigError
from hepfm.data.store import Store
from hepfm.report.comparer import Comparer
from hepfm.report.page import Page
from hepfm.report.sections import load_sections
from hepfm.study.config import StudyConfig, read_study
from hepfm.study.contrasts_part import answers, contrasts_part
from hepfm.study.folder import StudyFolder
from hepfm.study.panels import Panel
from hepfm.study.registration import (
    REGISTRATION,
    digest,
    read_registration,
    register,
    registered_content,
    registration_text,
)
from hepfm.study.study import prepare, study

pytestmark = pytest.mark.enable_socket  # Dask talks to itself

RUNS = ("pretrain-1", "evaluate-1")
"""Names of the runs that a study plans."""
ASKED = {"contrast": "classification - scratch", "family": "tagging", "task": "top_tagging"}


def config(**changes: Any) -> StudyConfig:
    return read_study(small_study("a", "b", **{"contrasts": {"helps": ASKED}, **changes}))


def finish(folder: StudyFolder, name: str) -> None:
    """Mark a run as done."""
    run = folder.run(name)
    run.path.mkdir(parents=True)
    run.finish({"seconds": 1.0})


def test_what_is_wrong_with_contrasts_and_factors_is_said_at_once() -> None:
    wrong = {
        "typo": {**ASKED, "contrast": "clasification - scratch"},
        "one-sided": {**ASKED, "contrast": "classification"},
        "where": {**ASKED, "task": "top_taging"},
        "budget": {**ASKED, "budgets": [41]},
    }
    with pytest.raises(ConfigError) as error:
        config(contrasts=wrong, factors=["C", "M"])
    for text in (
        "contrasts.typo names no arm of the study ('clasification'; did you mean 'classification'?)",
        "contrasts.one-sided: 'classification' is no contrast",
        "contrasts.where.task names no entry of downstream ('top_taging'; did you mean 'top_tagging'?)",
        "contrasts.budget.budgets asks for budgets that downstream.top_tagging has not",
        "factors: a factorial design",
    ):
        assert text in str(error.value), text


def test_a_metric_and_a_margin_that_do_not_fit_are_refused_before_anything_runs(
    jet_store: Store, tops: Store
) -> None:
    asked = {
        "metric": {**ASKED, "metric": "rejection_51"},
        "margin": {**ASKED, "metric": "rejection_50", "equivalence": 0.1},
    }
    with pytest.raises(ConfigError) as error:
        prepare(small_study(jet_store.path, tops.path, contrasts=asked))
    assert "has no 'rejection_51'; did you mean 'rejection_50'?" in str(error.value)
    assert "give a margin above 1 (got 0.1)" in str(error.value)


def test_factors_are_read_off_the_names_of_the_arms() -> None:
    arms = {"scratch": None, "C": "supervised", "M": "masked", "C+M": "masked", "other": "lejepa"}
    found = {one.name: one.plus for one in config(arms=arms, factors=["C", "M"], contrasts={}).effects}
    assert found == {"C": ("C", "C+M"), "M": ("M", "C+M"), "C×M": ("scratch", "C+M")}  # noqa: RUF001
    del arms["C+M"]
    with pytest.raises(ConfigError, match=r"factors: .*there is none with C\+M"):
        config(arms=arms, factors=["C", "M"], contrasts={})


# -- registration


def test_contrasts_are_hashed_before_the_first_run(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    assert register(config(contrasts={}), folder, RUNS) is None
    assert not (tmp_path / REGISTRATION).exists()
    found = register(config(), folder, RUNS)
    assert found is not None
    assert found.beforehand
    values = json.loads((tmp_path / REGISTRATION).read_text())
    assert values["sha256"] == digest(values["content"]) == digest(registered_content(config()))
    assert values["content"]["contrasts"]["helps"]["budgets"] == [40]
    supervised = {"objective": "supervised", "options": {}}
    assert values["content"]["arms"] == {"classification": supervised, "scratch": None}
    assert "before the first run" in registration_text(found)
    assert register(config(), folder, RUNS) == found


def test_a_change_without_finished_runs_replaces_the_registration(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    first = register(config(), folder, RUNS)
    other = register(config(contrasts={"helps": {**ASKED, "equivalence": 0.01}}), folder, RUNS)
    assert other is not None
    assert first is not None
    assert other.beforehand
    assert other.sha256 != first.sha256


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"contrasts": {"helps": {**ASKED, "metric": "accuracy"}}}, "contrast 'helps'"),
        ({"contrasts": {"helps": ASKED, "more": {**ASKED, "family": "more"}}}, "new contrast 'more'"),
        ({"contrasts": {}}, "removed contrast 'helps'"),
        ({"seeds": {"replicates": [1, 2, 3]}}, "the replicates"),
        ({"arms": {"scratch": None, "classification": "masked"}}, "objective of arm 'classification'"),
    ],
)
def test_a_change_after_the_first_run_is_never_silent(
    tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    folder = StudyFolder(tmp_path)
    first = register(config(), folder, RUNS)
    assert first is not None
    finish(folder, "pretrain-1")
    changed = register(config(**changes), folder, RUNS)
    assert changed is not None
    assert not changed.beforehand
    assert changed.sha256 == first.sha256
    text = registration_text(changed)
    assert "CHANGED AFTER THE FIRST RUN" in text
    assert f"Changed: {what}." in text
    assert first.sha256 in text
    assert changed.current.sha256 in text
    assert register(config(**changes), folder, RUNS) == changed
    back = register(config(), folder, RUNS)
    assert back is not None
    assert len(back.changes) == 2
    assert read_registration(folder) == back


def test_contrasts_named_after_the_first_run_say_so(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    finish(folder, "evaluate-1")
    found = register(config(), folder, RUNS)
    assert found is not None
    assert not found.beforehand
    assert "when 1 run had finished already: NOT before the first run" in registration_text(found)


def test_runs_of_other_studies_in_the_directory_are_not_its_own(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    finish(folder, "simulate-of-another-study")
    found = register(config(), folder, RUNS)
    assert found is not None
    assert found.beforehand
    assert (found.finished_runs, found.other_finished_runs) == (0, 1)
    text = registration_text(found)
    assert "before the first run (beside 1 run of other studies, or of this one with other settings," in text
    # Such a run may be one of this study before its settings changed: a change beside it is kept, too.
    finish(folder, "pretrain-1")
    changed = register(config(contrasts={}), folder, ["pretrain-2"])
    assert changed is not None
    assert len(changed.changes) == 1
    assert "when 0 runs had finished (beside 2 runs of other studies" in registration_text(changed)


# -- answers


@pytest.fixture(scope="module")
def panel(make_result: Any) -> Panel:
    """Four replicates of two arms with 40 labels."""
    folders = [make_result(2.0 + 0.02 * s, arm="classification", budget=40, seed=s) for s in range(4)]
    folders += [make_result(0.5 + 0.02 * s, init="scratch", budget=40, seed=s) for s in range(4)]
    (section,) = load_sections(folders)
    return Panel("top_tagging", "tiny", None, (), section)


def test_families_are_corrected_together_and_apart_from_others(panel: Panel) -> None:
    asked = {
        "a": {**ASKED, "metric": "auc"},
        "b": {**ASKED, "metric": "accuracy"},
        "c": {**ASKED, "metric": "auc", "family": "alone"},
    }
    found = answers(config(contrasts=asked), [(panel, Comparer(panel.section))])
    assert [(one.family, one.contrast.name) for one in found] == [
        ("tagging", "a: classification - scratch"),
        ("tagging", "b: classification - scratch"),
        ("alone", "c: classification - scratch"),
    ]
    a, b, c = found
    assert c.adjusted_p == pytest.approx(c.p)
    assert min(a.adjusted_p, b.adjusted_p) == pytest.approx(2 * min(a.p, b.p))
    assert a.verdict == "better"


def test_the_page_answers_first(panel: Panel, tmp_path: Path) -> None:
    values = config(contrasts={"helps": {**ASKED, "metric": "auc"}, "later": {**ASKED, "family": "x"}})
    registration = register(values, StudyFolder(tmp_path), RUNS)
    assert registration is not None
    part = contrasts_part(values, [(panel, Comparer(panel.section))], registration)
    page = Page("t", "l", (part,)).render()
    assert "helps: classification - scratch, AUC, top_tagging, tiny, 40 labels: better (+0." in page
    assert 'class="text better"' in page
    assert list(part.tables) == ["contrasts"]
    assert part.tables["contrasts"].header[:2] == ("family", "panel")


def test_a_study_registers_reports_effects_and_tells_of_a_change(
    jet_store: Store, tops: Store, tmp_path: Path
) -> None:
    values = small_study(
        jet_store.path,
        tops.path,
        arms={"scratch": None, "C": "supervised"},
        factors=["C"],
        contrasts={"helps": {**ASKED, "contrast": "C - scratch"}},
    )
    done = study(values, output=tmp_path / "s", processes=2)
    assert done.complete
    page = (done.report or Path()).read_text(encoding="utf-8")
    assert page.index("Registered contrasts") < page.index("Effects of the objectives (exploratory)")
    assert "before the first run." in page
    assert "no verdict: not trained to a plateau" in page or "fewer than 3 pairs of trainings (2)" in page
    values["contrasts"]["helps"]["metric"] = "auc"
    again = study(values, output=tmp_path / "s", processes=2)
    page = (again.report or Path()).read_text(encoding="utf-8")
    assert "CHANGED AFTER THE FIRST RUN" in page
