"""Tasks: what each protocol promises, and evaluation with a stub scorer on a store."""

import json

import numpy as np
import pyarrow as pa
import pytest

from hepfm.core.errors import ConfigError, DataError, ModelError
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.predictions import Predictions
from hepfm.tasks import TASKS
from hepfm.tasks.base import load_task
from hepfm.tasks.evaluate import measure, summary_lines
from hepfm.tasks.model_subject import training_facts
from hepfm.tasks.result import Training
from hepfm.tasks.result_folder import read_result, read_scores
from hepfm.tasks.sides import SidedTask
from hepfm.tasks.tagging import TaggingTask

TOP = ("QCD", "Tbqq")


class StubScorer:
    """Knows the truth, blurred by noise; its columns are in an order of its own."""

    fingerprint = "0123456789abcdef"

    def __init__(self, classes, *, sharpness=2.0, training=None):
        self.classes = classes
        self.sharpness = sharpness
        self.training = training or {"init": "pretrained", "mode": "full", "budget": 100, "seed": 3}
        self.rows = None

    def score(self, store, rows):
        self.rows = rows
        names = store.schema["jet_label"].classes
        labels = np.asarray(store.read(["jet_label"], rows)["jet_label"]).astype(int)
        own = np.array([self.classes.index(name) for name in names])[labels]
        noise = np.random.default_rng(1).normal(size=(len(rows), len(self.classes)))
        logits = noise + self.sharpness * np.eye(len(self.classes))[own]
        p = np.exp(logits)
        return (p / p.sum(1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def top_store(tmp_path_factory, jet_columns):
    """A store whose label has the task's classes in the other order."""
    path = tmp_path_factory.mktemp("tasks") / "top"
    parts = []
    for split, seed in (("train", 1), ("test", 2)):
        columns = jet_columns(300, seed=seed)
        columns["jet_label"] = (columns["jet_label"] % 2).astype(np.int16)
        parts.append((split, columns))
    write_store(path, jet_schema(tuple(reversed(TOP))), parts, provenance={"source": "test"})
    return Store.open(path)


TAGGING = [name for name in TASKS if isinstance(load_task(name), TaggingTask)]
SCORED = [name for name in TAGGING if not isinstance(load_task(name), SidedTask)]
"""Those whose classes are known before there is a store."""


@pytest.mark.parametrize("name", SCORED)
def test_every_task_keeps_its_promises(name):
    task = load_task(name)
    assert task.name == name
    assert task.version >= 1
    assert task.background in task.classes
    assert task.background not in task.signals
    assert len(task.signals) == len(task.classes) - 1
    names = [metric.name for metric in task.metrics()]
    assert len(names) == len(set(names))
    assert task.primary in names


@pytest.mark.parametrize("name", SCORED)
def test_every_metric_agrees_with_its_statistic(name):
    """The value in tables and the function that is bootstrapped are the same definition."""
    task = load_task(name)
    rng = np.random.default_rng(4)
    labels = rng.integers(0, len(task.classes), 600)
    p = rng.dirichlet(np.ones(len(task.classes)), 600) + 0.3 * np.eye(len(task.classes))[labels]
    predictions = Predictions(labels, p / p.sum(1, keepdims=True), task.classes)
    for metric in task.metrics():
        measured = metric.measure(predictions)
        again = metric.statistic(predictions)(np.ones(600))
        assert measured.definition.endswith(".v1")
        if measured.value is None:
            assert again == np.inf
        else:
            assert measured.value == pytest.approx(again)
            assert measured.low <= measured.value <= (np.inf if measured.high is None else measured.high)


def test_jetclass_follows_the_published_working_points():
    titles = {metric.name: metric.title for metric in load_task("jetclass").metrics()}
    assert titles["rejection_Hqql"].endswith("= 0.99")
    assert titles["rejection_Tbl"].endswith("= 0.995")
    assert titles["rejection_Hbb"].endswith("= 0.5")
    assert len(titles) == 2 + len(JETCLASS_CLASSES) - 1


def test_an_unknown_task_is_refused_with_a_hint():
    with pytest.raises(ConfigError, match="did you mean 'top_tagging'"):
        load_task("top_taging")


def test_measure_reads_the_test_split_only_and_orders_classes_by_name(top_store, tmp_path):
    scorer = StubScorer(TOP)
    evaluation = measure(scorer, load_task("top_tagging"), top_store, output=tmp_path / "result")
    assert scorer.rows.tolist() == list(top_store.split("test"))
    accuracy = evaluation.result.metric("accuracy").value
    assert accuracy > 0.8  # with the classes swapped it would be below 0.2
    assert evaluation.result.task.classes == TOP
    assert sum(evaluation.result.data.rows_per_class.values()) == 300
    assert any("AUC" in line for line in summary_lines(evaluation))


def test_scores_are_put_into_the_order_of_the_task(top_store, tmp_path):
    """Whatever order the model has: numbers and files are those of the task's order."""
    columns = {}
    for name, classes in (("same", TOP), ("other", TOP[::-1])):

        class Fixed(StubScorer):
            def score(self, store, rows):
                straight = StubScorer(TOP).score(store, rows)
                return straight[:, [TOP.index(one) for one in self.classes]]

        result = measure(Fixed(classes), load_task("top_tagging"), top_store, output=tmp_path / name).result
        columns[name] = result.metrics, read_scores(tmp_path / name, result)[0].probabilities
    assert columns["same"][0] == columns["other"][0]
    np.testing.assert_array_equal(columns["same"][1], columns["other"][1])
    assert columns["same"][0][0].value > 0.8


def test_a_result_directory_reads_back(top_store, tmp_path):
    evaluation = measure(
        StubScorer(TOP[::-1]), load_task("top_tagging"), top_store, output=tmp_path / "result"
    )
    result = read_result(tmp_path / "result")
    assert result == evaluation.result
    predictions, rows = read_scores(tmp_path / "result", result)
    assert rows.tolist() == list(top_store.split("test"))
    names = np.array(top_store.schema["jet_label"].classes)
    truth = names[np.asarray(top_store.read(["jet_label"], rows)["jet_label"])]
    assert np.array(result.task.classes)[predictions.labels].tolist() == truth.tolist()
    with pa.memory_map(str(tmp_path / "result" / "scores.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
    assert {"jet_pt", "jet_softdrop_mass", "score_Tbqq"} <= set(table.column_names)
    jet_pt = np.asarray(top_store.read(["jet_pt"], rows)["jet_pt"])
    assert table.column("jet_pt").to_numpy().tolist() == jet_pt.tolist()


def test_the_same_evaluation_twice_gives_the_same_bytes(top_store, tmp_path):
    for name in ("a", "b"):
        measure(StubScorer(TOP), load_task("top_tagging"), top_store, output=tmp_path / name)
    for file in ("results.json", "scores.arrow"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_other_classes_are_refused(top_store, jet_store, tmp_path):
    task = load_task("top_tagging")
    with pytest.raises(DataError, match=r"has the classes QCD, Hbb.*'top_tagging' needs QCD, Tbqq"):
        measure(StubScorer(TOP), task, jet_store, output=tmp_path / "result")
    with pytest.raises(ModelError, match="fine-tune it to the task first"):
        measure(StubScorer(JETCLASS_CLASSES), task, top_store, output=tmp_path / "result")
    assert not (tmp_path / "result").exists()


def test_a_store_without_labels_or_test_split_is_refused(jet_columns, tmp_path):
    columns = jet_columns(20)
    unlabelled = {name: values for name, values in columns.items() if name != "jet_label"}
    write_store(tmp_path / "plain", jet_schema(), [("test", unlabelled)], provenance={})
    with pytest.raises(DataError, match="no field 'jet_label'"):
        measure(
            StubScorer(TOP), load_task("top_tagging"), Store.open(tmp_path / "plain"), output=tmp_path / "r"
        )
    columns["jet_label"] = (columns["jet_label"] % 2).astype(np.int16)
    write_store(tmp_path / "train", jet_schema(TOP), [("train", columns)], provenance={})
    with pytest.raises(DataError, match="no split 'test'"):
        measure(
            StubScorer(TOP), load_task("top_tagging"), Store.open(tmp_path / "train"), output=tmp_path / "r"
        )


def test_scores_that_are_not_finite_or_of_another_shape_are_refused(top_store, tmp_path):
    class Broken(StubScorer):
        def score(self, store, rows):
            return np.full((len(rows), 2), np.nan)

    class Short(StubScorer):
        def score(self, store, rows):
            return super().score(store, rows)[:-1]

    with pytest.raises(DataError, match="NaN or infinite"):
        measure(Broken(TOP), load_task("top_tagging"), top_store, output=tmp_path / "r")
    with pytest.raises(ModelError, match="scores of shape"):
        measure(Short(TOP), load_task("top_tagging"), top_store, output=tmp_path / "r")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.update(format="other"), "is not a result"),
        (lambda values: values.update(format_version=99), "format version 99"),
        (lambda values: values.update(metrics="none"), "metrics"),
        (lambda values: values.pop("data"), "'data' is missing"),
    ],
)
def test_damaged_results_are_refused(top_store, tmp_path, change, message):
    measure(StubScorer(TOP), load_task("top_tagging"), top_store, output=tmp_path / "result")
    path = tmp_path / "result" / "results.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match=message):
        read_result(tmp_path / "result")


def test_missing_or_truncated_scores_are_refused(top_store, tmp_path):
    result = measure(StubScorer(TOP), load_task("top_tagging"), top_store, output=tmp_path / "result").result
    path = tmp_path / "result" / "scores.arrow"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"(cannot read|is missing).*run hepfm evaluate again"):
        read_scores(tmp_path / "result", result)
    path.unlink()
    with pytest.raises(DataError, match=r"(cannot read|is missing).*run hepfm evaluate again"):
        read_scores(tmp_path / "result", result)
    with pytest.raises(DataError, match="no result directory"):
        read_result(tmp_path / "nothing")


def test_arms_are_named_from_how_the_model_was_trained():
    assert Training(init="scratch", mode="full").arm_name == "scratch"
    assert Training(init="pretrained", mode="frozen").arm_name == "pre-trained, frozen"
    assert Training().arm_name == "not fine-tuned"
    assert Training(init="scratch", arm="my way").arm_name == "my way"


def test_training_facts_come_from_provenance():
    config = {
        "verb": "finetune",
        "init": "pretrained",
        "mode": {"name": "lora", "rank": 4},
        "data": {"budget": 300},
        "seed": 7,
        "model_sha256": "ab" * 32,
    }
    facts = Training(**training_facts({"config": config}))
    assert (facts.arm_name, facts.budget, facts.seed, facts.parent) == ("pre-trained, lora", 300, 7, "ab" * 8)
    assert Training(**training_facts({"config": {"verb": "pretrain", "seed": 1}})).init == "none"
    assert Training(**training_facts({})).seed is None
