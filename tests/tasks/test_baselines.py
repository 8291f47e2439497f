"""The row baseline and the majority baseline: fitted to the labels of the network, measured on its rows."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from hepfm.backbones import BACKBONES
from hepfm.core.config import resolve_component
from hepfm.core.errors import DataError
from hepfm.core.schema import Field, Kind, Level
from hepfm.data import feature_set
from hepfm.data.context import JET
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.heads import HEADS
from hepfm.models.directory import Model
from hepfm.networks.build import build_network, seeded_init
from hepfm.networks.specs import HeadSpec
from hepfm.objectives import OBJECTIVES
from hepfm.tasks.baselines import fitting_answers, trivial_answers
from hepfm.tasks.evaluate import evaluate, summary_lines
from hepfm.tasks.result_folder import read_result
from hepfm.tasks.taus import TauMomentum
from hepfm.train.row_baseline import LabelledRows, fit_baselines

KINDS = ("quark", "tau")
MODES = ("none", "h", "h_pi0")
EXTRA = (
    Field("mode", Level.OBJECT, Kind.CATEGORICAL, dtype="int16", classes=MODES, description="mode"),
    Field("target", Level.OBJECT, description="a number"),
    Field("weight", Level.OBJECT, description="weight"),
)


class Number(TauMomentum):
    """The regression task on the fields of this test."""

    label = "target"
    groups = "mode"
    group_names = MODES[1:]


@pytest.fixture(scope="module")
def store(tmp_path_factory, jet_columns) -> Store:
    """Taus are rarer and have fewer constituents; the number follows the jet's pt; modes are 1 to 4."""
    parts = []
    for split, seed in (("train", 1), ("test", 2)):
        rng = np.random.default_rng(seed)
        tau = rng.random(400) < 0.4
        columns = jet_columns(400, seed=seed, lengths=np.where(tau, 4, 8) + rng.integers(0, 5, 400))
        columns["jet_label"] = tau.astype(np.int16)
        columns["mode"] = np.where(tau, rng.choice([1, 2, 2, 2, 2], 400), 0).astype(np.int16)
        noise = 0.02 * rng.normal(size=400)
        columns["target"] = (np.log(columns["jet_pt"]) / 3 - 2 + noise).astype(np.float32)
        columns["weight"] = np.where(tau, 3.0, 1.0).astype(np.float32)
        parts.append((split, columns))
    path = tmp_path_factory.mktemp("baselines") / "store"
    write_store(path, jet_schema(KINDS, extra=EXTRA), parts, provenance={"source": "test"})
    return Store.open(path)


def head_rows(store, **options):
    values = {"name": "supervised", **options}
    component = resolve_component(OBJECTIVES, values, where="test")
    return component.cls.requirements(component.config, store.schema).head_rows


def labelled(store: Store, rows=range(100), *, weights=None) -> LabelledRows:
    return LabelledRows(store, np.asarray(rows), store.split("train"), 128, weights, 0)


def save(store: Store, path, *, field: str, baselines):
    spec = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2}
    backbone = resolve_component(BACKBONES, spec, where="test")
    head = "classify" if store.schema[field].classes else "regress"
    output = HeadSpec(resolve_component(HEADS, head, where="test"), store.schema[field])
    with seeded_init(0, "test"):
        network = build_network(backbone, feature_set("kin"), heads=[output])
    provenance = {"baselines": baselines}
    Model(network, backbone, feature_set("kin"), store.schema, provenance=provenance).save(path)
    return path


def inputs(store: Store, rows) -> np.ndarray:
    columns = store.read((*JET.columns, "part_pt"), rows)
    return JET.compute(columns, columns["part_pt"].lengths)


@pytest.mark.parametrize("weights", [None, "weight"])
def test_the_row_baseline_is_the_regression_on_the_rows_of_the_budget(store, weights):
    values = fit_baselines(labelled(store, weights=weights), head_rows(store), ("jet_label",))["jet_label"]
    assert values == json.loads(json.dumps(values))
    assert values["labels"] == 100
    rows, test = np.arange(100), np.asarray(store.split("test"))
    scaler = StandardScaler().fit(inputs(store, rows))
    labels = np.asarray(store.read(["jet_label"], rows)["jet_label"])
    sample = None if weights is None else np.asarray(store.read([weights], rows)[weights], np.float64)
    sample = None if sample is None else sample / sample.mean()  # the penalty counts as without weights
    fit = LogisticRegression(max_iter=1000).fit(scaler.transform(inputs(store, rows)), labels, sample)
    expected = fit.predict_proba(scaler.transform(inputs(store, test)))
    (row, majority) = trivial_answers({"baselines": {"jet_label": values}}, "jet_label")
    np.testing.assert_allclose(row.score(store, test), expected, atol=1e-4)
    share = np.mean(np.asarray(store.read(["jet_label"], store.split("train"))["jet_label"]))
    if weights is None:
        np.testing.assert_allclose(majority.score(store, test)[0], [1 - share, share])
    else:
        np.testing.assert_allclose(majority.score(store, test)[0, 1], 3 * share / (1 + 2 * share))


def test_labels_outside_the_budget_do_not_change_the_row_baseline(store):
    """But the fractions of the classes are those of the training split: a budget has equal ones."""
    few, more = (
        fit_baselines(labelled(store, range(n)), head_rows(store), ("jet_label",))["jet_label"]
        for n in (60, 90)
    )
    assert few["coefficients"] != more["coefficients"]
    assert few["fractions"] == more["fractions"]


def test_only_rows_that_count_are_fitted_and_a_class_never_seen_gets_nothing(store):
    only = head_rows(store, label="mode", only=["jet_label", "tau"])
    values = fit_baselines(labelled(store), only, ("mode",))["mode"]
    assert values["fitted"] == [1, 2]
    (row, majority) = trivial_answers({"baselines": {"mode": values}}, "mode")
    test = np.asarray(store.split("test"))
    assert (row.score(store, test)[:, 0] == 0).all()
    assert majority.score(store, test)[0, 0] == 0
    np.testing.assert_allclose(row.score(store, test).sum(1), 1)


def test_each_label_of_a_sum_has_its_own_baseline_and_its_own_rows(store):
    terms = [{"name": "supervised"}, {"name": "supervised", "label": "mode", "only": ["jet_label", "tau"]}]
    sum_ = head_rows(store, name="weighted_sum", terms=terms)
    found = fit_baselines(labelled(store), sum_, ("jet_label", "mode"))
    taus = int(np.asarray(store.read(["jet_label"], range(100))["jet_label"]).sum())
    assert {name: values["labels"] for name, values in found.items()} == {"jet_label": 100, "mode": taus}
    assert fit_baselines(labelled(store), sum_, ()) == {}


def test_one_class_alone_gives_that_class(store):
    labels = np.asarray(store.read(["jet_label"], range(100))["jet_label"])
    quarks = np.flatnonzero(labels == 0)
    values = fit_baselines(labelled(store, quarks), head_rows(store), ("jet_label",))["jet_label"]
    row, _ = trivial_answers({"baselines": {"jet_label": values}}, "jet_label")
    np.testing.assert_array_equal(row.score(store, np.arange(3)), [[1, 0]] * 3)


def test_large_budgets_are_cut_by_a_seeded_draw(store, monkeypatch):
    monkeypatch.setattr("hepfm.train.row_baseline.MOST_ROWS", 50)
    one, two = (fit_baselines(labelled(store), head_rows(store), ("jet_label",)) for _ in range(2))
    assert one == two
    assert one["jet_label"]["labels"] == 50


def test_every_metric_of_a_task_is_measured_for_both_on_the_same_rows(store, tmp_path):
    from hepfm.tasks.tagging_metrics import binary_metrics
    from hepfm.tasks.taus import TauIdentification

    class Small(TauIdentification):
        """The task with fewer bootstraps."""

        primary = "auc"

        def metrics(self):
            return binary_metrics(signal="tau", background="quark")

    baselines = fit_baselines(labelled(store), head_rows(store), ("jet_label",))
    model = save(store, tmp_path / "model", field="jet_label", baselines=baselines)
    evaluation = evaluate(model, Small(), store, output=tmp_path / "result", device="cpu")
    result = read_result(tmp_path / "result")
    assert [baseline.name for baseline in result.baselines] == ["row", "majority"]
    row, majority = result.baselines
    names = [metric.name for metric in result.metrics]
    assert [metric.name for metric in row.metrics] == [metric.name for metric in majority.metrics] == names
    assert row.metric("auc").value > 0.9
    assert majority.metric("auc").value == 0.5
    test = np.asarray(store.read(["jet_label"], store.split("test"))["jet_label"])
    assert majority.metric("accuracy").value == pytest.approx(1 - test.mean())
    assert majority.metric("rejection_50").value == pytest.approx(1)
    line = next(line for line in summary_lines(evaluation) if line.strip().startswith("AUC"))
    assert f"row baseline (4 numbers): {row.metric('auc').value:.5g}" in line
    assert "commonest class: 0.5" in line


def test_a_regression_has_a_ridge_and_a_constant(store, tmp_path):
    rows = head_rows(store, label="target", only=["jet_label", "tau"])
    baselines = fit_baselines(labelled(store), rows, ("target",))
    model = save(store, tmp_path / "model", field="target", baselines=baselines)
    result = evaluate(model, Number(), store, output=tmp_path / "result", device="cpu").result
    row, constant = result.baselines
    assert constant.title == "constant"
    assert row.metric("response_iqr").value < 0.6 * constant.metric("response_iqr").value
    rows = np.arange(100)[np.asarray(store.read(["jet_label"], range(100))["jet_label"]) == 1]
    target = np.asarray(store.read(["target"], rows)["target"], float)
    scaler = StandardScaler().fit(inputs(store, rows))
    fit = Ridge().fit(scaler.transform(inputs(store, rows)), target)
    test = np.asarray(store.split("test"))
    (answer, _) = trivial_answers({"baselines": baselines}, "target")
    expected = fit.predict(scaler.transform(inputs(store, test)))
    np.testing.assert_allclose(answer.score(store, test), expected, atol=1e-4)


def test_a_store_with_other_numbers_has_no_row_baseline(store):
    values = fit_baselines(labelled(store), head_rows(store), ("jet_label",))["jet_label"]
    answers = trivial_answers({"baselines": {"jet_label": {**values, "inputs": ["length"]}}}, "jet_label")
    row, majority = answers
    assert fitting_answers(answers, store) == (majority,)
    assert (
        len(fitting_answers(trivial_answers({"baselines": {"jet_label": values}}, "jet_label"), store)) == 2
    )
    with pytest.raises(DataError, match="was fitted to length"):
        row.score(store, np.arange(3))


def test_a_model_without_labels_has_no_baselines():
    assert trivial_answers({}, "jet_label") == ()
