"""Verdicts: what resolves a difference, what corrects it, and what forbids one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepfm.metrics.contrast import Contrast
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.paired import PairedTrainings
from hepfm.report.averages import average_text
from hepfm.report.comparer import Comparer, against_scratch
from hepfm.report.difference import Difference, corrected
from hepfm.report.guards import Ends, at_noise, guard
from hepfm.report.page import Page
from hepfm.report.preference import best_arms
from hepfm.report.sections import Group, Origin, Result, Section, load_sections
from hepfm.report.summary import baselines, lines
from hepfm.report.table import ReportTable
from hepfm.report.task_part import task_part
from hepfm.report.task_tables import results_table, training_table
from hepfm.tasks.base import load_task
from hepfm.tasks.result import (
    Baseline,
    CodeInfo,
    DataInfo,
    MetricInfo,
    ModelInfo,
    ResultFile,
    TaskInfo,
    Training,
)
from hepfm.tasks.tagging import TaggingTask

TASK = load_task("jet_generation")
CLEAR = np.array([0.020, 0.021, 0.019, 0.022, 0.018])


def info(name: str = "fpd", value: float = 1.0, **changes: Any) -> MetricInfo:
    values = {"low": value - 0.1, "high": value + 0.1, "n": 100, "definition": "d", "interval": "i"}
    return MetricInfo(
        **{"name": name, "title": name.upper(), "scale": "difference", "value": value, **values, **changes}
    )


def difference(values: np.ndarray, *, test: tuple[float, float] | None = None, **changes: Any) -> Difference:
    over = None if test is None else Measurement(None, *test, 100, "", "")
    contrast = Contrast("ours against scratch", ("ours",), ("scratch",))
    metric = changes.pop("metric", info("auc", 0.9))
    return Difference(contrast, 100, metric, PairedTrainings(values, metric.scale), over, **changes)


def cells(table: ReportTable[Any]) -> list[list[str]]:
    """Return the cells that the page shows."""
    return [[column.text(row) for column in table.shown] for row in table.rows]


def verdict(one: Difference) -> str:
    return corrected([one])[0].verdict


def test_both_errors_must_resolve_a_difference() -> None:
    assert verdict(difference(CLEAR, test=(0.01, 0.03))) == "better"
    assert verdict(difference(-CLEAR, test=(-0.03, -0.01))) == "worse"
    assert verdict(difference(CLEAR, test=(-0.01, 0.03))) == "not resolved by the test rows"
    assert verdict(difference(CLEAR - 0.02, test=(0.01, 0.03))) == "not resolved by the trainings"
    assert verdict(difference(CLEAR - 0.02, test=(-0.01, 0.03))) == "not resolved"
    assert verdict(difference(CLEAR)) == "better"


def test_smaller_distances_are_better() -> None:
    lower = info("fpd", 1.0, better="lower")
    assert verdict(difference(-CLEAR, metric=lower)) == "better"
    assert verdict(difference(CLEAR, metric=lower)) == "worse"


def test_nothing_is_called_better_without_correction() -> None:
    one = difference(CLEAR)
    assert one.p is not None
    assert one.p < 0.001
    assert one.verdict == "not resolved by the trainings"


def test_what_one_comparison_resolves_ten_do_not() -> None:
    faint = np.array([0.02, 0.005, 0.035, 0.02, 0.01])
    others = [difference(np.array([0.01, -0.02, 0.03, -0.01, 0.005])) for _ in range(9)]
    alone, many = corrected([difference(faint)])[0], corrected([difference(faint), *others])[0]
    assert (alone.verdict, many.verdict) == ("better", "not resolved by the trainings")
    assert many.adjusted_p == pytest.approx(10 * (alone.adjusted_p or 0.0))


def test_equal_differences_and_two_pairs_say_why_they_resolve_nothing() -> None:
    assert verdict(difference(np.full(5, 0.02))) == "not resolved: all values are equal"
    assert verdict(difference(CLEAR[:2])) == "not resolved: fewer than 3 pairs of trainings (2)"


def test_equivalence_is_a_verdict_inside_the_margin_only() -> None:
    small = (CLEAR - 0.0201) / 10
    assert verdict(difference(small, test=(-0.001, 0.001), margin=0.005)) == "equivalent within 0.005"
    assert verdict(difference(small, test=(-0.01, 0.01), margin=0.005)) == "not resolved"
    assert verdict(difference(small, test=(-0.001, 0.001), margin=0.0001)) == "not resolved"
    assert verdict(difference(CLEAR, test=(0.01, 0.03), margin=0.005)) == "better"
    close = {"test": (-0.0001, 0.0001), "margin": 0.0002}
    others = [difference(np.array([0.01, -0.02, 0.03]), margin=0.001) for _ in range(9)]
    assert verdict(difference(small, **close)) == "equivalent within 0.0002"
    assert corrected([difference(small, **close), *others])[0].verdict == "not resolved"


def test_a_guard_stands_above_every_interval() -> None:
    assert verdict(difference(CLEAR, guard="both at the noise line")) == "no verdict: both at the noise line"


# -- guards and tables on made-up result files


def result(arm: str, seed: int, **changes: Any) -> Result:
    training = Training(
        init="scratch" if arm == "scratch" else "pretrained",
        budget=100,
        seed=seed,
        parent="aaaa",
        steps=changes.pop("steps", 400),
        best_step=changes.pop("best_step", 300),
        first_validation=changes.pop("first_validation", 10),
        updates_per_label=20.0,
    )
    metrics = changes.pop("metrics", (info("fpd", 1.0 + 0.01 * seed, better="lower"),))
    file = ResultFile(
        task=TaskInfo(name=TASK.name, version=TASK.version, title="Generation", classes=("q",)),
        model=ModelInfo(fingerprint=f"{arm}{seed}", path="m"),
        training=training,
        data=DataInfo(fingerprint="f", split="test", rows=100, rows_per_class={"q": 100}),
        metrics=metrics,
        code=CodeInfo(hepfm="0", commit=None),
        **changes,
    )
    return Result(Path("none"), file, arm, Origin.of(training))


def group(arm: str, count: int = 5, **changes: Any) -> Group:
    return Group(arm, 100, tuple(result(arm, seed, **changes) for seed in range(count)))


def section(*groups: Group) -> Section:
    file = groups[0].results[0].file
    return Section(file.task, file.data, tuple(one.arm for one in groups), groups)


@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (0, 2), (0, 5), (5, 0)])
def test_more_than_a_fifth_of_the_trainings_without_plateau_forbid_a_verdict(first: int, last: int) -> None:
    best = [10] * first + [400] * last + [300] * (5 - first - last)
    ours = Group("C", 100, tuple(result("C", seed, best_step=step) for seed, step in enumerate(best)))
    assert Ends.of(ours) == Ends(5, first, last)
    told = (
        f"not trained to a plateau (of 5 runs of C, {first} were best at their first validation and {last} "
        "at their last step)"
    )
    for arms in ((ours, group("scratch")), (group("scratch"), ours)):
        assert guard(arms, info()) == ("" if first + last < 2 else told)
    (table,) = training_table(section(ours, group("scratch")))
    assert cells(table)[0][4:] == [f"{first} of 5", f"{last} of 5", "400", "20.0"]


def test_one_validation_counts_once() -> None:
    assert Ends.of(group("C", steps=10, best_step=10)) == Ends(5, 0, 5)


def test_trainings_without_a_loop_are_not_guarded() -> None:
    assert guard((group("probe", steps=None, best_step=None), group("scratch")), info()) == ""


def test_arms_that_generate_noise_get_no_verdict() -> None:
    metric = info(better="lower")
    noise = (info("fpd", 1.05, better="lower"),)
    lost = [group(arm, noise=noise) for arm in ("C", "scratch")]
    assert guard(lost, metric) == "both at the noise line"
    good = group("M", metrics=(info("fpd", 0.3, better="lower"),), noise=noise)
    assert not at_noise(good, metric)
    assert guard([lost[0], good], metric) == ""
    assert guard([group("C"), group("scratch")], metric) == ""  # noise was not measured
    higher = info("score", 0.5)
    assert at_noise(group("C", metrics=(higher,), noise=(higher,)), higher)
    (one,) = Comparer(section(*lost)).against({100: "scratch"}, [metric])
    assert one.verdict == "no verdict: both at the noise line"


def test_trivial_answers_stand_in_the_table_once_for_each_draw_of_labels() -> None:
    def row(seed: int) -> tuple[Baseline, ...]:
        metric = info("auc", 0.80 + 0.01 * seed)
        return (Baseline(name="row", title="four numbers of the jet", metrics=(metric,)),)

    both = [
        Group(
            arm,
            100,
            tuple(result(arm, s, metrics=(info("auc", 0.9 + 0.01 * s),), baselines=row(s)) for s in range(5)),
        )
        for arm in ("C", "scratch")
    ]
    (line,) = baselines(section(*both), "auc")
    assert (line.title, line.budget, line.mean.count) == ("four numbers of the jet", 100, 5)
    assert line.mean.value == pytest.approx(0.82)
    shown = cells(results_table(section(*both), [info("auc")]))
    (trivial,) = (row for row in shown if "four numbers of the jet" in row)
    assert trivial[2:5] == ["100", "", "0.8200"]


def test_a_lower_distance_of_generated_rows_is_the_better_one() -> None:
    """Every metric whose task says that lower is better, by difference and by ratio."""
    for name in ("jet_generation", "shower_generation"):
        for metric in load_task(name).metrics():
            measured = info(metric.name, 0.5, scale=metric.scale, better=metric.better)
            signs = (-CLEAR, CLEAR)  # of ratios the logarithms
            lower, higher = (verdict(difference(values, metric=measured)) for values in signs)
            expected = ("better", "worse") if metric.better == "lower" else ("worse", "better")
            assert (lower, higher) == expected, metric.name
            assert metric.better == ("higher" if metric.name == "coverage" else "lower")


@pytest.mark.parametrize(("better", "best"), [("lower", "C"), ("higher", "M")])
def test_the_best_arm_is_that_with_the_better_value(better: str, best: str) -> None:
    near, far = (
        group(arm, metrics=(info("fpd", value, better=better),)) for arm, value in (("C", 0.2), ("M", 0.9))
    )
    assert best_arms(section(near, far)) == {100: best}
    assert best_arms(section(far, near)) == {100: best}


def test_noise_and_real_rows_stand_beside_generated_ones() -> None:
    truths = (info("fpd", 0.004, better="lower"),)
    ours = group("C", noise=(info("fpd", 1.3, better="lower"),), truth_vs_truth=truths)
    assert [one.title for one in lines(section(ours), "fpd")] == [
        "noise in place of a model",
        "truth-vs-truth baseline",
    ]
    table = results_table(section(ours, group("scratch")), [info("fpd", better="lower")])
    assert [row[1] for row in cells(table)][-2:] == ["noise in place of a model", "truth-vs-truth baseline"]


def test_figures_draw_the_lines_that_arms_are_compared_with() -> None:
    from hepfm.report.figures.efficiency import efficiency_figure
    from hepfm.report.figures.generation import generation_figure
    from hepfm.report.figures.style import pens
    from hepfm.report.summary import curves

    truths, noise = (info("fpd", 0.004, better="lower"),), (info("fpd", 1.3, better="lower"),)
    groups = []
    for budget in (100, 1000):
        ours = group("C", noise=noise, truth_vs_truth=truths)
        groups.append(Group("C", budget, ours.results))
    found = Section(groups[0].results[0].file.task, groups[0].results[0].file.data, ("C",), tuple(groups))
    metric, beside = info("fpd", better="lower"), lines(found, "fpd")
    for draw in (efficiency_figure, generation_figure):
        drawn = draw(curves(found, "fpd"), metric, pens(["C"], "scratch"), name="f", references=beside)
        assert drawn.caption.endswith("Grey lines: noise in place of a model, truth-vs-truth baseline.")
        assert "noise in place of a model" in drawn.svg
        assert [row[0] for row in drawn.table.rows] == [
            "C",
            "C",
            "noise in place of a model",
            "truth-vs-truth baseline",
        ]
        assert "Line: mean over 5 trainings" in drawn.caption


def test_a_table_says_over_what_it_averages() -> None:
    single = [group("C"), group("scratch")]
    text = average_text(single)
    assert text.startswith(
        "Each row is a mean over 5 trainings, 1 pre-training, 5 draws of labels, 5 initialisations."
    )
    assert "One pre-training stands behind all fine-tunings of C" in text
    several = Group(
        "C",
        100,
        tuple(replace(one, origin=Origin(f"model{k}", 7, k)) for k, one in enumerate(single[0].results)),
    )
    text = average_text([several])
    assert (
        text == "Each row is a mean over 5 trainings, 5 pre-trainings, 1 draw of labels, 5 initialisations."
    )
    assert average_text([group("scratch", 3), group("C", 5)]).startswith(
        "Each row is a mean over 3 to 5 trainings"
    )


def test_loose_generation_results_make_a_part_of_the_page() -> None:
    from hepfm.report.figures.style import pens

    found = section(group("C", noise=(info("fpd", 9.0, better="lower"),)), group("scratch"))
    part = task_part(Comparer(found), pens=pens(["C", "scratch"], "scratch"), anchor="a")
    assert "trainings alone decide" in Page("t", "l", (part,)).render()
    assert "a-against-scratch" in part.tables
    assert against_scratch(found) == {100: "scratch"}


def test_a_metric_that_cannot_be_resampled_is_compared_by_trainings_alone(
    make_result: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = TaggingTask.statistics

    def only_auc(task: TaggingTask, predictions: Any) -> Any:
        return {name: value for name, value in whole(task, predictions).items() if name == "auc"}

    folders = [make_result(2.0, arm="a", seed=s) for s in range(3)]
    folders += [make_result(1.0, arm="b", seed=s) for s in range(3)]
    contrast = Contrast("a - b", ("a",), ("b",))
    tests = {}
    for statistics in (whole, only_auc, lambda task, predictions: {}):
        monkeypatch.setattr(TaggingTask, "statistics", statistics)
        (section,) = load_sections(folders)
        for name in ("auc", "accuracy"):
            difference = Comparer(section).difference(contrast, 100, section.results[0].file.metric(name))
            assert difference is not None
            assert difference.trainings is not None
            tests.setdefault(name, []).append(difference.test is not None)
    assert tests == {"auc": [True, True, False], "accuracy": [True, False, False]}
