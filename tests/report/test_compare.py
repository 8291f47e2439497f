"""Comparison: grouping, verdicts, label-equivalent factors, files."""

import csv
import json
import re
import sys

import numpy as np
import pytest

from hepfm.core.errors import ConfigError, DataError, HepfmError, MissingExtraError
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.trainings import mean_over_trainings
from hepfm.report.compare import compare, summary_lines
from hepfm.report.comparer import Comparer, against_scratch
from hepfm.report.equivalence import equivalences
from hepfm.report.figures.efficiency import mean_band
from hepfm.report.sections import Group, load_sections
from hepfm.report.summary import Curve, Summary, curves, summarise
from hepfm.report.table import make_table

pytestmark = pytest.mark.xdist_group("compare")  # its fixtures are slow: made once, by one worker


def test_sections_keep_tasks_apart_and_the_baseline_comes_last(study_results):
    sections = load_sections(study_results)
    assert [section.task.name for section in sections] == ["top_tagging", "jetclass"]
    top = sections[0]
    assert top.arms == ("pre-trained, full", "scratch")
    assert top.budgets == (100, 300, 1000)
    assert all(len(group.results) == 3 for group in top.groups)
    assert [result.seed for result in top.groups[0].results] == [0, 1, 2]


def test_other_test_jets_are_another_section(make_result, jet_columns, tmp_path):
    columns = jet_columns(300, seed=8)
    columns["jet_label"] = (columns["jet_label"] % 2).astype(np.int16)
    path = write_store(tmp_path / "other", jet_schema(("QCD", "Tbqq")), [("test", columns)], provenance={})
    one = make_result(1.0)
    other = make_result(1.0, store=Store.open(path))
    assert len(load_sections([one, other])) == 2


def test_as_many_test_jets_with_one_other_value_are_another_section(make_result, top_store, tmp_path):
    columns = dict(top_store.read(top_store.schema.names(), None))
    columns["jet_pt"] = np.concatenate([columns["jet_pt"][:1] * np.float32(1.001), columns["jet_pt"][1:]])
    path = write_store(tmp_path / "other", top_store.schema, [("test", columns)], provenance={})
    assert len(load_sections([make_result(1.0), make_result(1.0, store=Store.open(path), seed=1)])) == 2


def test_two_pretrained_models_are_two_arms(make_result):
    folders = [
        make_result(1.0, parent="aaaaaaaa0000", seed=0),
        make_result(1.2, parent="bbbbbbbb0000", seed=0),
        make_result(0.5, parent="aaaaaaaa0000", init="scratch", seed=0),
        make_result(0.6, parent="bbbbbbbb0000", init="scratch", seed=1),
    ]
    (section,) = load_sections(folders)
    assert section.arms == (
        "pre-trained, full (from aaaaaaaa)",
        "pre-trained, full (from bbbbbbbb)",
        "scratch",
    )


def test_the_same_training_twice_is_refused(make_result):
    with pytest.raises(DataError, match="are both seed 0 of 'pre-trained, full' with 100 labels"):
        load_sections([make_result(1.0), make_result(1.1)])
    with pytest.raises(DataError, match="nothing to compare"):
        load_sections([])


def test_summary_keeps_both_errors_apart(study_results):
    group = load_sections(study_results)[0].find("scratch", 100)
    summary = summarise(group, "auc")
    infos = [result.file.metric("auc") for result in group.results]
    assert summary.mean == mean_over_trainings([info.value for info in infos])
    assert summary.mean.low < summary.mean.value < summary.mean.high
    width = np.mean([info.value - info.low for info in infos])
    assert summary.mean.value - summary.test_low == pytest.approx(width)
    assert (summary.test_low, summary.test_high) != (summary.mean.low, summary.mean.high)


def verdicts(folders):
    """Return verdicts against scratch by metric, each in a family of its own."""
    (section,) = load_sections(folders)
    comparer, found = Comparer(section), {}
    for metric in section.results[0].file.metrics:
        (found[metric.name],) = comparer.against(against_scratch(section), [metric])
    return {name: one.verdict for name, one in found.items()}


def test_a_clear_gain_is_resolved_and_equal_models_are_not(make_result):
    folders = [make_result(2.0 + 0.01 * s, seed=s) for s in range(4)]
    folders += [make_result(0.5 + 0.01 * s, init="scratch", seed=s) for s in range(4)]
    assert verdicts(folders)["auc"] == "better"
    unpaired = [make_result(1.0, seed=s) for s in range(4)]
    unpaired += [make_result(1.0, init="scratch", seed=s + 10) for s in range(4)]
    assert set(verdicts(unpaired).values()) == {"not resolved: no training in common"}
    near = [make_result(1.30, seed=s) for s in range(4)] + [
        make_result(1.31, init="scratch", seed=s) for s in range(4)
    ]
    assert verdicts(near)["accuracy"].startswith("not resolved")


def test_a_worse_arm_is_called_worse(make_result):
    worse = [make_result(0.4 + 0.01 * s, seed=s) for s in range(4)]
    worse += [make_result(2.0 + 0.01 * s, init="scratch", seed=s) for s in range(4)]
    assert verdicts(worse)["auc"] == "worse"


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_trainings_resolve_nothing_however_large_the_gain(make_result, count):
    few = [make_result(2.0 + 0.01 * s, seed=s) for s in range(count)]
    few += [make_result(0.5 + 0.01 * s, init="scratch", seed=s) for s in range(count)]
    assert verdicts(few)["auc"] == f"not resolved: fewer than 3 pairs of trainings ({count})"


def test_every_model_is_resampled_once(make_result, monkeypatch):
    from hepfm.report import comparer

    folders = [make_result(1.0 + k, arm=f"arm {k}", seed=s) for k in range(3) for s in range(3)]
    folders += [make_result(0.5, init="scratch", seed=s) for s in range(3)]
    (section,) = load_sections(folders)
    calls = []
    original = comparer.bootstrap_values
    monkeypatch.setattr(
        comparer, "bootstrap_values", lambda *given, **more: calls.append(1) or original(*given, **more)
    )
    one = Comparer(section)
    one.against(against_scratch(section), section.results[0].file.metrics)
    one.against(dict.fromkeys(section.budgets, "arm 2"), section.results[0].file.metrics)
    assert len(calls) == len(folders)


def _curve(arm, points):
    made = []
    for budget, value in points:
        group = Group(arm, budget, ())
        made.append(Summary(group, "m", (value,), mean_over_trainings([value]), None, None))
    return Curve(arm, tuple(made))


def test_label_equivalent_factor_is_interpolated_in_log_n():
    baseline = _curve("scratch", [(100, 0.6), (10_000, 0.8)])
    found = equivalences(_curve("ours", [(100, 0.7), (1000, 0.9), (100, 0.5)]), baseline, "difference")
    assert found[0].factor == pytest.approx(10)
    assert (found[1].factor, found[1].bound, found[1].limit) == (None, ">", pytest.approx(10))
    assert (found[2].factor, found[2].bound, found[2].limit) == (None, "<", pytest.approx(1))


def test_label_equivalent_factor_of_a_rejection_uses_its_logarithm_and_needs_two_points():
    baseline = _curve("scratch", [(100, 10.0), (10_000, 1000.0)])
    found = equivalences(_curve("ours", [(100, 100.0), (100, None)]), baseline, "ratio")
    assert found[0].factor == pytest.approx(10)
    assert found[1].bound == ">"
    assert equivalences(_curve("ours", [(100, 1.0)]), _curve("scratch", [(100, 1.0)]), "ratio") == ()


def test_the_drawn_band_is_the_interval_of_the_mean(study_results):
    for metric in ("accuracy", "auc", "rejection_50"):
        for curve in curves(load_sections(study_results)[0], metric):
            low, high = mean_band(curve)
            assert low.tolist() == [point.mean.low for point in curve.points]
            assert high.tolist() == [point.mean.high for point in curve.points]


def test_the_band_breaks_where_there_is_no_interval():
    group = Group("ours", 100, ())
    means = [mean_over_trainings(values) for values in ([5.0, 6.0, 7.0], [5.0, None, None], [5.0, 6.0])]
    curve = Curve("ours", tuple(Summary(group, "m", (), mean, None, None) for mean in means))
    low, high = mean_band(curve)
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, True, True]


def test_equal_curves_have_factor_one(study_results):
    curve = next(c for c in curves(load_sections(study_results)[0], "auc") if c.arm == "scratch")
    assert [one.factor for one in equivalences(curve, curve, "difference")] == pytest.approx([1, 1, 1])


def test_the_report_is_one_file_that_loads_nothing(report):
    page = report.report.read_text()
    assert "<script" not in page
    for attribute in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert attribute.startswith(("#", "data:")), attribute[:80]
    assert not re.findall(r"url\((?!#)", page)
    assert "@import" not in page
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert used <= set(ids)


def test_the_report_shows_what_was_asked(report):
    page = report.report.read_text()
    for needed in ("labels-auc", "roc-100-Tbqq", "confusion-0", "softdrop_mass", "multiplicity", "jet-0"):
        assert re.search(rf'<figure id="[^"]*{needed}', page), needed
    assert "Label-equivalent factor" in page
    assert "never added" in page
    assert "paired bootstrap" in page
    assert "Holm" in page
    assert "median over" not in page.lower()
    assert "Each row is a mean over 3 trainings, 3 draws of labels, 3 initialisations." in page
    commits = {result.file.code.commit for section in report.sections for result in section.results}
    assert all((commit or "unknown")[:10] in page for commit in commits)


def test_numbers_lie_beside_every_figure_as_csv(report):
    figures = re.findall(r'<figure id="([^"]+)"', report.report.read_text())
    names = {path.stem for path in report.tables}
    assert set(figures) <= names
    for path in report.tables:
        with path.open() as file:
            rows = list(csv.reader(file))
        assert len(rows) > 1, path
        assert {len(row) for row in rows} == {len(rows[0])}


def test_csv_holds_the_means_of_the_results(report, study_results):
    path = next(path for path in report.tables if path.stem.endswith("top_tagging-results"))
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "auc" and row["labels"] == "100"]
    values = [
        metric["value"]
        for folder in study_results
        for values in [json.loads((folder / "results.json").read_text())]
        if values["task"]["name"] == "top_tagging" and values["training"]["budget"] == 100
        if values["training"]["init"] == "scratch"
        for metric in values["metrics"]
        if metric["name"] == "auc"
    ]
    scratch = next(row for row in rows if row["arm"] == "scratch")
    assert float(scratch["mean"]) == pytest.approx(np.mean(values))
    assert float(scratch["std"]) == pytest.approx(np.std(values, ddof=1))


def test_roc_curves_go_through_the_means_of_the_tables(report):
    def read(name, **wanted):
        path = next(path for path in report.tables if path.stem == f"task1-top_tagging-{name}")
        with path.open() as file:
            rows = [row for row in csv.DictReader(file) if wanted.items() <= row.items()]
        assert len(rows) == 1
        return rows[0]

    point = read("roc-100-Tbqq", arm="scratch", signal_efficiency="0.5")
    quoted = read("results", arm="scratch", labels="100", metric="rejection_50")
    assert float(point["rejection_mean"]) == pytest.approx(float(quoted["mean"]))
    assert float(point["mean_low"]) == pytest.approx(float(quoted["mean_low"]))
    assert float(point["mean_high"]) == pytest.approx(float(quoted["mean_high"]))


def test_the_same_results_give_the_same_bytes(report, study_results, top_store, jet_store, tmp_path):
    again = compare(study_results, output=tmp_path / "again", stores=[top_store.path, jet_store.path])
    assert again.report.read_bytes() == report.report.read_bytes()
    assert [path.read_bytes() for path in again.tables] == [path.read_bytes() for path in report.tables]


def test_summary_lines_name_every_group(report):
    lines = summary_lines(report)
    assert sum("labels" in line for line in lines) == sum(len(section.groups) for section in report.sections)


def test_text_from_data_is_escaped(make_result, tmp_path):
    folders = [make_result(1.0, arm="<b>bold & co</b>", seed=s) for s in range(2)]
    page = compare(folders, output=tmp_path / "report").report.read_text()
    assert "<b>bold" not in page
    assert "&lt;b&gt;bold &amp; co" in page


def test_one_result_alone_gives_a_page(make_result, tmp_path):
    page = compare([make_result(1.5, budget=None)], output=tmp_path / "report").report.read_text()
    assert "all labels" in page
    assert "Label-equivalent" not in page


def test_a_perfect_tagger_gives_a_page_with_limits(make_result, tmp_path):
    folders = [make_result(30.0 + s, budget=b, seed=s) for b in (100, 1000) for s in range(2)]
    page = compare(folders, output=tmp_path / "report").report.read_text()
    assert "95% lower limit" in page
    assert "NaN" not in page.replace("hasNaN", "")


def test_bad_input_is_refused_and_nothing_is_lost(make_result, tmp_path, monkeypatch):
    folder = make_result(1.0)
    with pytest.raises(DataError, match="no result directory"):
        compare([tmp_path / "none"], output=tmp_path / "report")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not lose")
    with pytest.raises(HepfmError, match="exists and is not a report"):
        compare([folder], output=tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "do not lose"
    from hepfm.tasks.top_tagging import TopTagging

    monkeypatch.setattr(TopTagging, "version", 2)
    with pytest.raises(ConfigError, match="evaluate the models again"):
        compare([folder], output=tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_store_without_classes_has_no_gallery(make_result, jet_columns, tmp_path):
    columns = {name: values for name, values in jet_columns(20).items() if name != "jet_label"}
    write_store(tmp_path / "plain", jet_schema(), [("test", columns)], provenance={})
    with pytest.raises(DataError, match="has no classes"):
        compare([make_result(1.0)], output=tmp_path / "report", stores=[tmp_path / "plain"])


def test_without_matplotlib_the_error_names_the_extra(make_result, top_store, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hepfm\[plot\]'"):
        compare([make_result(1.0)], output=tmp_path / "report", stores=[top_store.path])
    assert not (tmp_path / "report").exists()


def test_rows_of_a_table_must_fit_its_header():
    with pytest.raises(ValueError, match="2 cells, the header 1"):
        make_table(("a",), [(1, 2)])
