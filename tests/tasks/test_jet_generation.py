"""Generation tasks: the whole list of metrics, floors beside them, and stores that cannot be measured."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from hepfm.backbones import BACKBONES
from hepfm.cli.evaluate import command
from hepfm.core.config import resolve_component
from hepfm.core.errors import DataError
from hepfm.core.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data import context_set, feature_set
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.generation.classifier import LEAST_JETS
from hepfm.metrics.generation.emd import EmdBatches
from hepfm.models.build import build_network, seeded_init
from hepfm.models.directory import Model
from hepfm.models.fixture import random_batch
from hepfm.objectives import OBJECTIVES
from hepfm.tasks import TASKS
from hepfm.tasks.base import load_task
from hepfm.tasks.evaluate import evaluate, summary_lines
from hepfm.tasks.evaluate_generation import _generate
from hepfm.tasks.generation import GenerationTask
from hepfm.tasks.jet_generation import JetGeneration, JetGenerationTask
from hepfm.tasks.measure_jets import JetProtocol
from hepfm.tasks.result import read_result
from hepfm.tasks.samples import draw_samples

pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")
pytest.importorskip("ot", reason="the extra 'eval' is not installed")

CLASSES = ("QCD", "Tbqq")


class Small(JetGeneration):
    """The protocol with fewer transports."""

    protocol = JetProtocol(emd=EmdBatches(jets=10, batches=2))


@pytest.fixture(scope="module")
def stores(tmp_path_factory, jet_columns):
    """Real jets, jets of the same kind with the classes in the other order, and jets of wrong pT."""
    folder = tmp_path_factory.mktemp("generation")

    def write(name, number, *, seed, classes=CLASSES, wrong=1.0, split="test", label=True):
        rng = np.random.default_rng(seed)
        columns = jet_columns(number, seed=seed, lengths=rng.integers(3, 12, number))
        columns["jet_label"] = (np.arange(number) % len(classes)).astype(np.int16)
        for field in ("part_pt", "part_energy"):
            column = columns[field]
            columns[field] = column.with_values((column.values * wrong).astype(np.float32))
        if not label:
            del columns["jet_label"]
        schema = jet_schema(classes if label else ())
        write_store(folder / name, schema, [(split, columns)], provenance={"source": "test"})
        return Store.open(folder / name)

    return {
        "real": write("real", 400, seed=1),
        "made": write("made", 240, seed=2, classes=CLASSES[::-1]),
        "wrong": write("wrong", 240, seed=3, wrong=1.3),
        "other": write("other", 240, seed=4, classes=("QCD", "Hbb")),
        "few": write("few", 60, seed=5),
        "train": write("train", 100, seed=6, split="train"),
        "plain": write("plain", 240, seed=7, label=False),
    }


@pytest.fixture(scope="module")
def results(stores, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    return {
        name: evaluate(stores[name].path, Small(), stores["real"], output=folder / name)
        for name in ("made", "wrong")
    }


def test_every_metric_has_its_floor_and_an_error(results):
    result = results["made"].result
    assert [metric.name for metric in result.metrics] == [floor.name for floor in result.floors]
    assert len({metric.name for metric in result.metrics}) == len(result.metrics) == 3 * 22
    for metric, floor in zip(result.metrics, result.floors, strict=True):
        assert (metric.definition, metric.title, metric.n) == (floor.definition, floor.title, floor.n)
        assert metric.low <= metric.value <= metric.high
        assert metric.better == ("higher" if metric.name.startswith("coverage") else "lower")


def test_the_floor_does_not_depend_on_what_was_generated(results):
    assert results["made"].result.floors == results["wrong"].result.floors


def test_wrong_jets_are_told_from_the_floor(results):
    good, bad = (results[name].result for name in ("made", "wrong"))
    for name in (
        "w1_pt",
        "w1_mass",
        "kl_pt",
        "w1m",
        "w1p",
        "fpd",
        "kpd",
        "mmd",
        "classifier_auc",
        "w1_pt_Tbqq",
    ):
        assert bad.metric(name).value > good.metric(name).value, name
    assert bad.metric("w1_pt").low > bad.floor("w1_pt").high
    assert bad.metric("classifier_auc").value > 0.9
    assert abs(good.floor("classifier_auc").value - 0.5) < 0.12


def test_the_result_names_data_model_and_sizes(results, stores):
    result = read_result(results["made"].path)
    assert result == results["made"].result
    assert result.data.rows_per_class == {"QCD": 100, "Tbqq": 100}
    assert (result.data.rows, result.data.split) == (200, "test")
    assert result.data.fingerprint == stores["real"].fingerprint
    assert result.model.fingerprint == stores["made"].fingerprint
    assert result.training.arm_name == "made"
    assert not (results["made"].path / "scores.arrow").exists()


def test_the_summary_prints_value_and_floor_side_by_side(results):
    line = next(line for line in summary_lines(results["made"]) if "W1M" in line)
    result = results["made"].result
    assert f"{result.metric('w1m').value:.5g}" in line
    assert f"real against real: {result.floor('w1m').value:.5g}" in line


def test_a_result_without_floors_is_still_read(results, tmp_path):
    """A file of format version 1, before there were floors."""
    values = json.loads((results["made"].path / "results.json").read_text())
    del values["floors"]
    values["format_version"] = 1
    for metric in values["metrics"]:
        del metric["better"]
    (tmp_path / "results.json").write_text(json.dumps(values))
    old = read_result(tmp_path)
    assert (old.floors, old.metrics[0].better, old.floor("w1m")) == ((), "higher", None)


def test_the_three_samples_are_disjoint_and_alike(stores):
    samples = draw_samples(Small(), stores["real"], stores["made"])
    assert len(samples.reference) == len(samples.second) == len(samples.generated) == 200
    pts = [set(sample.values["pt"].tolist()) for sample in (samples.reference, samples.second)]
    assert not pts[0] & pts[1]
    again = draw_samples(Small(), stores["real"], stores["made"])
    np.testing.assert_array_equal(samples.generated.values["pt"], again.generated.values["pt"])


def test_classes_are_matched_by_name(stores):
    """The generated store has them in the other order."""
    samples = draw_samples(Small(), stores["real"], stores["made"])
    made = stores["made"]
    columns = made.read(["jet_label", "part_pt"], made.split("test"))
    tops = np.flatnonzero(columns["jet_label"] == made.schema["jet_label"].classes.index("Tbqq"))
    hardest = {float(columns["part_pt"].row(row)[0]) for row in tops}
    jets = samples.generated.take(samples.rows("Tbqq")).jets
    first = np.hypot(*jets.p4[jets.offsets[:-1], 1:3].T)
    assert all(min(abs(value - other) for other in hardest) < 1e-3 for value in first)


def test_stores_without_classes_are_measured_as_one(stores, tmp_path):
    result = evaluate(stores["plain"].path, Small(), stores["plain"], output=tmp_path / "r").result
    assert result.task.classes == ()
    assert len(result.metrics) == 22


@pytest.mark.parametrize(
    ("made", "real", "message"),
    [
        ("other", "real", "classes Hbb, QCD, the test jets of .* Tbqq; generate jets of exactly"),
        ("plain", "real", "no class"),
        ("few", "real", "30 generated jets and twice 100 real ones of class QCD.*at least 50"),
        ("train", "real", "no split 'test'"),
        ("made", "train", "no split 'test'"),
    ],
)
def test_a_store_that_cannot_be_measured_says_why(stores, tmp_path, made, real, message):
    with pytest.raises(DataError, match=message):
        evaluate(stores[made].path, Small(), stores[real], output=tmp_path / "r")
    assert not (tmp_path / "r").exists()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained flow of ten classes with fitted normalisation."""
    tiny = {"name": "transformer", "width": 16, "depth": 1, "num_heads": 4}
    flow = {"name": "flow_matching", "max_constituents": 12, "generator": {"name": "flow", "steps": 2}}
    backbone = resolve_component(BACKBONES, tiny, where="test")
    objective = resolve_component(OBJECTIVES, flow, where="test")
    features, context, schema = feature_set("pet"), context_set("jet"), jet_schema(JETCLASS_CLASSES)
    with seeded_init(0, "test"):
        network = build_network(backbone, features, context=context)
        built = objective.cls(objective.config, network, schema)
    built.fit([random_batch(features, context=context)])
    path = tmp_path_factory.mktemp("models") / "flow"
    Model(network, backbone, features, schema, max_constituents=12, context=context).save(path)
    return path


def test_a_model_is_measured_on_jets_that_it_makes(model, stores, tmp_path):
    evaluation = evaluate(model, Small(), stores["real"], output=tmp_path / "r", arm="untrained")
    result, made = evaluation.result, Store.open(tmp_path / "r-jets")
    assert result.data.rows_per_class == {"QCD": 100, "Tbqq": 100}
    assert made.num_rows == 200
    assert result.training.arm_name == "untrained"
    assert result.training.backbone == "transformer"
    assert result.model.fingerprint == made.manifest.provenance["model"]
    assert result.metric("classifier_auc").value > 0.9
    assert result.metric("fpd").value > result.floor("fpd").value
    again = _generate(model, Small(), stores["real"], output=tmp_path / "r-jets", device="cpu", options={})
    assert again.fingerprint == made.fingerprint


def test_neither_store_nor_model(stores, tmp_path):
    with pytest.raises(DataError, match="neither a store of generated jets nor a model"):
        evaluate(tmp_path, Small(), stores["real"], output=tmp_path / "r")


def test_the_command_says_what_is_wrong(stores):
    arguments = [str(stores["few"].path), "--on", "jet_generation", "--store", str(stores["real"].path)]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2
    assert "generate more jets" in done.output


@pytest.mark.parametrize("name", [name for name in TASKS if isinstance(load_task(name), GenerationTask)])
def test_generation_tasks_keep_their_promises(name):
    task = load_task(name)
    assert task.name == name
    assert task.metrics() == ()
    assert task.rows_per_class >= task.least_rows >= LEAST_JETS
    if isinstance(task, JetGenerationTask):
        assert task.protocol.max_constituents >= 30
        assert task.least_rows >= task.protocol.emd.jets
