"""Classification and regression of any field: options, rows that count, metrics, trained models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from sklearn.metrics import mean_absolute_error, roc_auc_score

from hepfm import api
from hepfm.cli.main import group
from hepfm.core.errors import ConfigError, DataError, HepfmError, ModelError
from hepfm.core.schema import Field, Kind, Level
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.weights import weighed
from hepfm.data.writer import write_store
from hepfm.metrics.contrast import Contrast
from hepfm.report.comparer import Comparer
from hepfm.report.sections import load_sections
from hepfm.tasks.base import load_task
from hepfm.tasks.evaluate import measure, summary_lines
from hepfm.tasks.result_folder import read_result, read_scores

ROWS = 500
FLAVOURS = ("light", "charm", "bottom")
EXTRA = (
    Field("flavour", Level.OBJECT, Kind.CATEGORICAL, dtype="int16", classes=FLAVOURS, description="flavour"),
    Field("detected", Level.OBJECT, Kind.CATEGORICAL, dtype="int16", classes=("no", "yes"), description="y"),
    Field("true_energy", Level.OBJECT, unit="GeV", description="a number"),
    Field("angle", Level.OBJECT, Kind.ANGLE, unit="rad", description="an angle"),
    Field("importance", Level.OBJECT, description="a weight"),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, jet_columns: Any) -> Store:
    """Jets of ten classes with three flavours, a number that follows their pt, and an angle near pi."""
    parts = []
    for split, seed in (("train", 1), ("val", 2), ("test", 3)):
        rng = np.random.default_rng(seed)
        columns = dict(jet_columns(ROWS, seed=seed))
        columns["flavour"] = rng.integers(0, 3, ROWS).astype(np.int16)
        columns["detected"] = rng.integers(0, 2, ROWS).astype(np.int16)
        columns["true_energy"] = (columns["jet_pt"] / 100 + 0.1 * rng.normal(size=ROWS)).astype(np.float32)
        columns["angle"] = np.where(rng.random(ROWS) < 0.5, 3.1, -3.1).astype(np.float32)
        columns["importance"] = rng.uniform(0.2, 4.0, ROWS).astype(np.float32)
        parts.append((split, columns))
    path = tmp_path_factory.mktemp("any_field") / "store"
    write_store(path, jet_schema(JETCLASS_CLASSES, extra=EXTRA), parts, provenance={"source": "test"})
    return Store.open(path)


class Guess:
    """Class probabilities of a field, from the truth and numbers that belong to the row."""

    fingerprint = "0" * 16
    training: ClassVar[dict[str, Any]] = {"arm": "guess"}

    def __init__(self, field: str, classes: tuple[str, ...]) -> None:
        self.field, self.classes = field, classes

    def score(self, store: Store, rows: np.ndarray) -> np.ndarray:
        names = store.schema[self.field].classes
        labels = np.asarray(store.read([self.field], rows)[self.field]).astype(int)
        own = np.array([self.classes.index(name) if name in self.classes else 0 for name in names])[labels]
        noise = np.random.default_rng(8).normal(size=(store.num_rows, len(self.classes)))[rows]
        p = np.exp(1.5 * np.eye(len(self.classes))[own] + noise)
        return p / p.sum(1, keepdims=True)


class Shifted:
    """A number that is the truth plus a row's own error."""

    classes = ()
    fingerprint = "0" * 16
    training: ClassVar[dict[str, Any]] = {"arm": "shifted"}

    def __init__(self, field: str, by: float = 0.0, spread: float = 0.2) -> None:
        self.field, self.by, self.spread = field, by, spread

    def errors(self, store: Store, rows: np.ndarray) -> np.ndarray:
        return self.by + self.spread * np.random.default_rng(9).normal(size=store.num_rows)[rows]

    def score(self, store: Store, rows: np.ndarray) -> np.ndarray:
        return np.asarray(store.read([self.field], rows)[self.field]) + self.errors(store, rows)


def counted(store: Store, **fields: Any) -> np.ndarray:
    rows = np.asarray(store.split("test"))
    columns = store.read(list(fields), rows) if fields else {}
    keep = np.ones(len(rows), bool)
    for name, values in fields.items():
        keep &= np.isin(np.asarray(columns[name]), [store.schema[name].classes.index(v) for v in values])
    return rows[keep]


def classify(store: Store, path: Path, scorer: Any = None, **options: Any) -> Any:
    field = options.get("field", "jet_label")
    scorer = scorer or Guess(field, store.schema[field].classes)
    return measure(scorer, load_task({"name": "classification", **options}), store, output=path).result


def test_two_classes_are_measured_as_the_built_in_task_does(jet_columns: Any, tmp_path: Path) -> None:
    columns = dict(jet_columns(300, seed=4))
    columns["jet_label"] = (columns["jet_label"] % 2).astype(np.int16)
    write_store(tmp_path / "top", jet_schema(("Tbqq", "QCD")), [("test", columns)], provenance={})
    store, scorer = Store.open(tmp_path / "top"), Guess("jet_label", ("QCD", "Tbqq"))
    built_in = measure(scorer, load_task("top_tagging"), store, output=tmp_path / "a").result
    free = classify(store, tmp_path / "b", scorer, signal="Tbqq", background="QCD")
    assert free.metrics == built_in.metrics
    assert free.task.classes == built_in.task.classes == ("QCD", "Tbqq")
    sides = {"signal": "Tbqq", "background": "QCD"}
    search = classify(store, tmp_path / "c", scorer, **sides, background_efficiencies=[0.1])
    assert search.metrics[:-1] == built_in.metrics
    assert search.metrics[-1].name == "significance_improvement_10"
    assert search.metrics[-1].value > 0.1**0.5


def test_several_classes_have_one_against_the_rest_and_the_union_of_backgrounds(
    store: Store, tmp_path: Path
) -> None:
    options = {"field": "flavour", "signal": "bottom", "background": ["light", "charm"]}
    result = classify(store, tmp_path / "r", **options, efficiencies=[0.5, 0.77])
    predictions, rows = read_scores(tmp_path / "r", result)
    assert predictions.classes == ("light", "charm", "bottom")
    assert rows.tolist() == counted(store).tolist()
    labels, p = predictions.labels, predictions.probabilities
    for index, name in enumerate(predictions.classes):
        area = roc_auc_score(labels == index, p[:, index])
        assert result.metric(f"auc_{name}").value == pytest.approx(area, abs=1e-4), name
        called = p.argmax(1) == index
        assert result.metric(f"efficiency_{name}").value == pytest.approx(called[labels == index].mean())
        assert result.metric(f"purity_{name}").value == pytest.approx((labels[called] == index).mean())
    pairs = roc_auc_score(labels, p / p.sum(1, keepdims=True), average="macro", multi_class="ovo")
    assert result.metric("auc").value == pytest.approx(pairs, abs=1e-6)
    signal, background = p[labels == 2, 2], p[labels != 2, 2]
    for efficiency, name in ((0.5, "rejection_50_bottom"), (0.77, "rejection_77_bottom")):
        count = int(np.ceil(efficiency * len(signal) - 1e-9))
        threshold = np.sort(signal)[::-1][count - 1]
        assert result.metric(name).value == pytest.approx(1 / (background >= threshold).mean(), rel=1e-3)


def test_classes_that_are_not_compared_are_left_out_of_rows_and_scores(store: Store, tmp_path: Path) -> None:
    result = classify(store, tmp_path / "r", signal=["Tbqq"], background=["QCD", "Hbb"])
    predictions, rows = read_scores(tmp_path / "r", result)
    assert rows.tolist() == counted(store, jet_label=("Tbqq", "QCD", "Hbb")).tolist()
    assert result.task.classes == ("QCD", "Hbb", "Tbqq")
    np.testing.assert_allclose(predictions.probabilities.sum(1), 1, rtol=1e-6)
    every = Guess("jet_label", JETCLASS_CLASSES).score(store, rows)
    kept = every[:, [JETCLASS_CLASSES.index(name) for name in ("QCD", "Hbb", "Tbqq")]]
    np.testing.assert_allclose(predictions.probabilities, kept / kept.sum(1, keepdims=True), rtol=1e-5)


def test_what_is_left_out_is_filled_in_from_the_store(store: Store, tmp_path: Path) -> None:
    every = classify(store, tmp_path / "a")
    assert every.task.classes == JETCLASS_CLASSES
    assert every.task.options["field"] == "jet_label"
    assert not [info.name for info in every.metrics if info.name.startswith("rejection")]
    against = classify(store, tmp_path / "b", background="QCD")
    assert set(against.task.options["signal"]) == {*JETCLASS_CLASSES} - {"QCD"}
    one = classify(store, tmp_path / "c", signal="QCD")
    assert set(one.task.options["background"]) == {*JETCLASS_CLASSES} - {"QCD"}
    two = classify(store, tmp_path / "d", field="detected")
    assert [info.name for info in two.metrics][:2] == ["accuracy", "auc"]


def test_results_with_other_options_are_never_in_one_table(store: Store, tmp_path: Path) -> None:
    options: list[dict[str, Any]] = [{}, {"background": "light"}, {"background": "light"}]
    for number, some in enumerate(options):
        scorer = Guess("flavour", FLAVOURS)
        scorer.training = {"arm": f"arm {number}"}  # type: ignore[misc]
        classify(store, tmp_path / str(number), scorer, field="flavour", **some)
    sections = load_sections([tmp_path / str(number) for number in range(3)])
    assert sorted(len(section.results) for section in sections) == [1, 2]


def test_rows_of_several_classes_count(store: Store, tmp_path: Path) -> None:
    result = classify(store, tmp_path / "r", field="flavour", only=["jet_label", "Hbb", "QCD", "Tbl"])
    _, rows = read_scores(tmp_path / "r", result)
    assert rows.tolist() == counted(store, jet_label=("Hbb", "QCD", "Tbl")).tolist()
    assert "jet_label = Hbb or QCD or Tbl only" in result.task.title


def test_only_some_rows_count_and_weights_do(store: Store, tmp_path: Path) -> None:
    options = {"field": "flavour", "only": ["jet_label", "Hbb"]}
    result = classify(weighed(store, "importance"), tmp_path / "r", **options)
    predictions, rows = read_scores(tmp_path / "r", result)
    assert rows.tolist() == counted(store, jet_label=("Hbb",)).tolist()
    weights = np.asarray(store.read(["importance"], rows)["importance"], float)
    right = predictions.probabilities.argmax(1) == predictions.labels
    assert result.metric("accuracy").value == pytest.approx(np.average(right, weights=weights))
    assert result.data.effective_rows == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    bottom = predictions.labels == 2
    area = roc_auc_score(bottom, predictions.probabilities[:, 2], sample_weight=weights)
    assert result.metric("auc_bottom").value == pytest.approx(area, abs=1e-4)
    union = {**options, "signal": "bottom", "efficiencies": [0.6]}
    result = classify(weighed(store, "importance"), tmp_path / "union", **union)
    score = predictions.probabilities[:, 2]
    order = np.argsort(-score[bottom])
    passed = np.cumsum(weights[bottom][order]) >= 0.6 * weights[bottom].sum()
    threshold = score[bottom][order][np.argmax(passed)]
    expected = np.average(score[~bottom] >= threshold, weights=weights[~bottom])
    assert result.metric("rejection_60_bottom").value == pytest.approx(1 / expected, rel=1e-6)
    plain = classify(store, tmp_path / "plain", **options)
    assert plain.metric("accuracy").value == pytest.approx(right.mean())
    assert plain.metric("accuracy").value != result.metric("accuracy").value


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"field": "flavor"}, DataError, "did you mean 'flavour'"),
        ({"field": "true_energy"}, DataError, "needs a categorical field of the rows: .*flavour"),
        ({"field": "part_pid"}, DataError, "is categorical of the constituent"),
        ({"signal": "Tbq"}, DataError, "no class 'Tbq'; did you mean 'Tbqq'"),
        ({"signal": "QCD", "background": "QCD"}, ConfigError, "named twice.* QCD"),
        ({"signal": list(JETCLASS_CLASSES)}, None, ""),
        ({"background": list(JETCLASS_CLASSES)}, ConfigError, "leave nothing to compare"),
        ({"efficiencies": [1.5]}, ConfigError, "less than 1"),
        (
            {"field": "flavour", "background_efficiencies": [0.1]},
            ConfigError,
            "one signal and one background",
        ),
        ({"only": ["jet_label", "muon"]}, DataError, "no class 'muon'"),
        ({"only": ["true_energy", "muon"]}, DataError, "it has no classes"),
        ({"sginal": "QCD"}, ConfigError, "did you mean 'signal'"),
    ],
)
def test_options_that_do_not_fit_say_what_does(
    store: Store, tmp_path: Path, options: dict[str, Any], error: type[HepfmError] | None, message: str
) -> None:
    if error is None:
        assert classify(store, tmp_path / "r", **options).task.classes == JETCLASS_CLASSES
        return
    with pytest.raises(error, match=message):
        load_task({"name": "classification", **options}).bind(store.schema, where="the store")


def test_a_class_without_rows_and_a_model_without_the_class_are_refused(store: Store, tmp_path: Path) -> None:
    scorer = Guess("flavour", ("light", "charm"))
    with pytest.raises(ModelError, match=r"the classes light, charm of 'flavour', not bottom; fine-tune"):
        classify(store, tmp_path / "r", scorer, field="flavour")
    columns = dict(store.read(store.schema.names(), counted(store, flavour=("light", "charm"))))
    write_store(tmp_path / "two", store.schema, [("test", columns)], provenance={"source": "test"})
    with pytest.raises(DataError, match=r"no test row .* has flavour = bottom; say which classes"):
        classify(Store.open(tmp_path / "two"), tmp_path / "r", field="flavour")
    assert not (tmp_path / "r").exists()


def regress(store: Store, path: Path, scorer: Any, **options: Any) -> Any:
    return measure(scorer, load_task({"name": "regression", **options}), store, output=path).result


def test_a_number_has_error_bias_and_width_in_its_unit(store: Store, tmp_path: Path) -> None:
    scorer = Shifted("true_energy", by=0.5)
    result = regress(store, tmp_path / "r", scorer, field="true_energy", groups="flavour")
    rows = counted(store)
    errors = scorer.errors(store, rows)
    truth = np.asarray(store.read(["true_energy"], rows)["true_energy"])
    expected = mean_absolute_error(truth, scorer.score(store, rows))
    assert result.metric("residual_mae").value == pytest.approx(expected, rel=1e-4)
    assert result.metric("residual_rmse").value == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-4)
    assert result.metric("residual_bias").value == pytest.approx(abs(np.median(errors)), rel=1e-4)
    assert result.metric("residual_width").value == pytest.approx(0.2, rel=0.1)
    assert result.metric("residual_mae").title == "mean absolute error [GeV]"
    for name in FLAVOURS:
        chosen = np.isin(rows, counted(store, flavour=(name,)))
        info = result.metric(f"residual_mae_{name}")
        assert info.value == pytest.approx(np.abs(errors[chosen]).mean(), rel=1e-4)
        assert info.n == chosen.sum() == result.data.rows_per_class[name]
    with pa.memory_map(str(tmp_path / "r" / "predictions.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.column("row").to_numpy().tolist() == rows.tolist()
    np.testing.assert_allclose(
        table.column("predicted").to_numpy() - table.column("truth").to_numpy(), errors, atol=1e-5
    )


def test_rows_and_weights_of_a_regression(store: Store, tmp_path: Path) -> None:
    scorer, only = Shifted("true_energy"), ["flavour", "charm"]
    data = weighed(store, "importance")
    result = regress(data, tmp_path / "r", scorer, field="true_energy", only=only)
    rows = counted(store, flavour=("charm",))
    assert result.data.rows == len(rows)
    weights = np.asarray(store.read(["importance"], rows)["importance"], float)
    errors = scorer.errors(store, rows)
    expected = np.average(np.abs(errors), weights=weights)
    assert result.metric("residual_mae").value == pytest.approx(expected, rel=1e-4)
    expected = np.sqrt(np.average(errors**2, weights=weights))
    assert result.metric("residual_rmse").value == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("weights", [None, "importance"])
def test_two_regressions_are_compared_row_by_row(store: Store, tmp_path: Path, weights: str | None) -> None:
    """Errors that are common to two models cancel in the interval over test rows."""
    data = store if weights is None else weighed(store, weights)
    options = {"field": "true_energy", "groups": "flavour"}
    for name, spread in (("worse", 0.21), ("better", 0.2)):
        scorer = Shifted("true_energy", spread=spread)  # the same error of a row but for its size
        scorer.training = {"arm": name}  # type: ignore[misc]
        regress(data, tmp_path / name, scorer, **options)
    (section,) = load_sections([tmp_path / "worse", tmp_path / "better"])
    contrast, result = Contrast("c", ("better",), ("worse",)), section.results[0].file
    for name in ("residual_mae", "residual_width", "residual_mae_charm"):
        difference = Comparer(section).difference(contrast, None, result.metric(name))
        assert difference is not None
        assert difference.test is not None
        values = [other.file.metric(name).value for other in section.results]  # better, worse
        assert difference.test.value == pytest.approx(values[0] - values[1], rel=1e-3)
        assert difference.test.low < difference.test.value < difference.test.high < 0
        metric = section.results[0].file.metric(name)
        assert difference.test.high - difference.test.low < 0.2 * (metric.high - metric.low)
    rows = np.asarray(store.split("test"))
    columns = dict(data.read(data.schema.names(), rows[::-1]))
    write_store(tmp_path / "turned", data.schema, [("test", columns)], provenance={})
    again = Shifted("true_energy")
    again.training = {"arm": "again"}  # type: ignore[misc]
    regress(Store.open(tmp_path / "turned"), tmp_path / "again", again, **options)
    mixed = replace(section.results[0], path=tmp_path / "again")
    comparer = Comparer(
        replace(section, groups=(replace(section.groups[0], results=(mixed,)), section.groups[1]))
    )
    with pytest.raises(DataError, match="hold other test rows"):
        comparer.difference(contrast, None, result.metric("residual_mae"))


def test_groups_of_few_rows_are_not_measured_by_themselves(store: Store, tmp_path: Path) -> None:
    options = {"field": "true_energy", "only": ["flavour", "charm"], "groups": "jet_label"}
    result = regress(store, tmp_path / "r", Shifted("true_energy"), **options)
    counts = result.data.rows_per_class
    assert {name for name, count in counts.items() if count >= 20} == {
        info.name.removeprefix("residual_mae_")
        for info in result.metrics
        if info.name.startswith("residual_mae_")
    }
    assert min(counts.values()) < 20 <= max(counts.values())


def test_ratios_and_logarithms_are_responses(store: Store, tmp_path: Path) -> None:
    scorer = Shifted("true_energy", by=0.7, spread=0.0)
    truth = np.asarray(store.read(["true_energy"], counted(store))["true_energy"], float)
    ratio = regress(store, tmp_path / "a", scorer, field="true_energy", compare="ratio")
    median = np.median((truth + 0.7) / truth)
    assert ratio.metric("response_bias").value == pytest.approx(median - 1, rel=1e-4)
    logarithm = regress(store, tmp_path / "b", scorer, field="true_energy", compare="log_ratio")
    assert logarithm.metric("response_bias").value == pytest.approx(np.exp(0.7) - 1, rel=1e-4)
    assert logarithm.metric("response_iqr").value == pytest.approx(0, abs=1e-5)


def test_the_difference_of_angles_is_taken_round_the_circle(store: Store, tmp_path: Path) -> None:
    """A step over pi comes out at the other end: 3.1 + 0.1 is -3.08."""

    class Round(Shifted):
        def score(self, store: Store, rows: np.ndarray) -> np.ndarray:
            return np.angle(np.exp(1j * super().score(store, rows)))

    result = regress(store, tmp_path / "r", Round("angle", by=0.1, spread=0.0), field="angle")
    assert result.metric("residual_mae").value == pytest.approx(0.1, rel=1e-4)
    assert result.metric("residual_mae").title.endswith("[rad]")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"field": "flavour"}, "needs a number of the rows"),
        ({"field": "part_pt"}, "needs a number of the rows"),
        ({}, "needs a number of the rows"),
        ({"field": "true_energie"}, "did you mean 'true_energy'"),
        ({"field": "angle", "compare": "ratio"}, "is an angle; use compare=difference"),
        ({"field": "true_energy", "groups": "jet_pt"}, "'jet_pt' of the store has no classes"),
        ({"field": "true_energy", "compare": "fraction"}, "'difference', 'ratio' or 'log_ratio'"),
    ],
)
def test_regressions_that_do_not_fit_say_why(store: Store, options: dict[str, Any], message: str) -> None:
    with pytest.raises(HepfmError, match=message):
        load_task({"name": "regression", **options}).bind(store.schema, where="the store")


def test_numbers_that_cannot_be_compared_are_refused(store: Store, tmp_path: Path) -> None:
    class Broken(Shifted):
        def score(self, store: Store, rows: np.ndarray) -> np.ndarray:
            return np.where(rows % 7 == 0, np.nan, super().score(store, rows))

    with pytest.raises(ModelError, match=r"\d+ of 500 predictions of 'true_energy' are NaN"):
        regress(store, tmp_path / "r", Broken("true_energy"), field="true_energy")
    with pytest.raises(DataError, match=r"not above 0.*use compare=difference"):
        regress(store, tmp_path / "r", Shifted("jet_eta"), field="jet_eta", compare="ratio")
    with pytest.raises(ModelError, match="predicts classes of 'true_energy', not a number"):
        regress(store, tmp_path / "r", Guess("true_energy", ("a", "b")), field="true_energy")
    assert not (tmp_path / "r").exists()


TRAIN = {
    "steps": 40,
    "batch_size": 32,
    "log_every": 10,
    "validate_every": 20,
    "checkpoint_every": 40,
    "validation_rows": 64,
    "device": "cpu",
    "optimizer": {"name": "adamw", "lr": 0.01},
}


@pytest.fixture(scope="module")
def body(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was pre-trained on another field."""
    recipe = {
        "data": {"store": str(store.path), "features": "kin", "max_constituents": 16},
        "backbone": {"name": "transformer", "size": "xs"},
        "objective": {"name": "supervised", "label": "detected"},
        "train": {**TRAIN, "steps": 2, "validate_every": 2, "checkpoint_every": 2},
    }
    return api.pretrain(recipe, output=tmp_path_factory.mktemp("body") / "run").path / "model"


def finetune(store: Store, body: Path, spec: dict[str, Any], output: Path) -> Path:
    """Fine-tune to what a task says would train what it measures."""
    objective = load_task(spec).bind(store.schema, where="the store").objective()
    recipe = {"data": {"store": str(store.path)}, "objective": objective, "train": TRAIN}
    return api.finetune(body, recipe, output=output).path / "model"


def test_a_model_is_fine_tuned_to_the_task_and_measured_beside_its_baselines(
    store: Store, body: Path, tmp_path: Path
) -> None:
    spec = {"name": "regression", "field": "true_energy", "only": ["flavour", "charm"]}
    model = finetune(store, body, spec, tmp_path / "run")
    evaluation = api.evaluate(model, spec, store.path, output=tmp_path / "result", device="cpu")
    result = read_result(tmp_path / "result")
    assert result.task.spec == {**spec, "groups": None, "compare": "difference"}
    row, constant = result.baselines
    assert (row.name, constant.title) == ("row", "constant")
    assert row.metric("residual_mae").value < 0.5 * constant.metric("residual_mae").value
    assert any("row baseline (4 numbers):" in line for line in summary_lines(evaluation))
    spec = {"name": "classification", "field": "flavour", "signal": "bottom"}
    with pytest.raises(ModelError, match="predicts true_energy, not 'flavour'; fine-tune it to"):
        api.evaluate(model, spec, store.path, output=tmp_path / "other")


def test_the_command_line_measures_and_compares(store: Store, body: Path, tmp_path: Path) -> None:
    spec = {"name": "classification", "field": "flavour"}
    model = finetune(store, body, spec, tmp_path / "run")
    output = str(tmp_path / "result")
    arguments = ["evaluate", str(model), "--on", "classification", "--store", str(store.path), "-o", output]
    chosen = ["--field", "flavour", "--signal", "bottom", "--background", "light,charm"]
    done = CliRunner().invoke(
        group, [*arguments, *chosen, "--only", "detected=yes", "--efficiencies", "0.7", "--json"]
    )
    assert done.exit_code == 0, done.output
    options = json.loads(done.stdout)["result"]["task"]["options"]
    assert options == {
        "field": "flavour",
        "signal": ["bottom"],
        "background": ["light", "charm"],
        "only": ["detected", "yes"],
        "efficiencies": [0.7],
        "background_efficiencies": [],
    }
    plain = str(tmp_path / "plain")
    done = CliRunner().invoke(group, [*arguments[:-1], plain, "--field", "flavour"])
    assert done.exit_code == 0, done.output
    assert "AUC of bottom (one vs rest)" in done.output
    report = CliRunner().invoke(group, ["compare", output, plain, "-o", str(tmp_path / "report")])
    assert report.exit_code == 0, report.output
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Classification by flavour: bottom against light + charm, detected = yes only" in page
    tables = {path.name: path.read_text() for path in (tmp_path / "report" / "csv").iterdir()}
    assert any("rejection_70_bottom" in table for table in tables.values())
    for background in ("light", "charm"):
        assert any(f"-bottom-{background}." in name for name in tables), "a ROC curve against each of them"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--on", "classification", "--signal", "Tbq"], "did you mean 'Tbqq'"),
        (["--on", "classification", "--only", "jet_label"], "write FIELD=CLASS"),
        (["--on", "classification", "--efficiencies", "half"], "write numbers between 0 and 1"),
        (["--on", "classification", "--background-efficiencies", "2"], "less than 1"),
        (["--on", "classification", "--groups", "flavour"], "unknown key 'groups'"),
        (["--on", "regression", "--compare", "quotient"], "is not one of"),
        (["--on", "top_tagging", "--signal", "Tbqq"], "takes no options; leave out signal, or take classif"),
        (["--on", "clasification", "--field", "flavour"], "did you mean 'classification'"),
    ],
)
def test_mistakes_end_with_code_2(
    store: Store, body: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    command = ["evaluate", str(body), *arguments, "--store", str(store.path), "-o", str(tmp_path / "r")]
    done = CliRunner().invoke(group, command)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "r").exists()
