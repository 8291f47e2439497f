"""Generation tasks: every metric, truth-vs-truth baseline beside it, and stores that cannot be measured."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from hepfm.backbones import BACKBONES
from hepfm.cli.evaluate import command
from hepfm.core.config import resolve_component
from hepfm.core.errors import DataError, ModelError
from hepfm.core.schema import Field, Kind
from hepfm.data import context_set, feature_set
from hepfm.data.noise import noise_jets
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.definitions import definition_of
from hepfm.metrics.generation.classifier import MIN_JETS
from hepfm.metrics.generation.efp import connected_efps, efps
from hepfm.metrics.generation.emd import EmdBatches
from hepfm.metrics.generation.frechet import fpd
from hepfm.metrics.generation.jets import jet_sample
from hepfm.models.directory import Model
from hepfm.models.fixture import random_batch
from hepfm.networks.build import build_network, seeded_init
from hepfm.objectives import OBJECTIVES
from hepfm.tasks import TASKS
from hepfm.tasks.base import MeasureOptions, load_task
from hepfm.tasks.evaluate import evaluate, summary_lines
from hepfm.tasks.generation import GenerationTask
from hepfm.tasks.jet_generation import JetGeneration, JetGenerationTask
from hepfm.tasks.measure_jets import JetProtocol
from hepfm.tasks.model_subject import open_subject
from hepfm.tasks.result_folder import read_result
from hepfm.tasks.samples import draw_samples
from hepfm.tasks.spectra import SAMPLES, read_spectra
from hepfm.train.learner import make_learner

pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")
pytest.importorskip("ot", reason="the extra 'eval' is not installed")

CLASSES = ("QCD", "Tbqq")


class Small(JetGeneration):
    """The protocol with fewer transports."""

    protocol = JetProtocol(emd=EmdBatches(jets=10, batches=2))


@pytest.fixture(scope="module")
def stores(tmp_path_factory, jet_columns):
    """Real jets, jets of the same kind with the classes in the other order, and others."""
    folder = tmp_path_factory.mktemp("generation")

    def write(name, number, *, seed, classes=CLASSES, wrong=1.0, split="test", label=True):
        rng = np.random.default_rng(seed)
        columns = jet_columns(number, seed=seed, lengths=rng.integers(3, 12, number))
        columns["jet_label"] = (np.arange(number) % len(classes)).astype(np.int16)
        pt, eta = columns["part_pt"], columns["part_eta"]
        axis = columns["jet_eta"][pt.row_index()]
        columns["part_pt"] = pt.with_values((pt.values * wrong).astype(np.float32))
        wider = axis + (eta.values - axis) * wrong**2
        columns["part_eta"] = eta.with_values(wider.astype(np.float32))
        energy = columns["part_pt"].values * np.cosh(columns["part_eta"].values)
        columns["part_energy"] = eta.with_values(energy.astype(np.float32))
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


def test_groups_of_rows_that_count_as_independent_are_said(stores, tmp_path, caplog):
    real = stores["real"]
    event = Field("event", real.schema.row, Kind.COUNT, dtype="int64", description="hard event")
    schema = replace(real.schema, fields=(*real.schema.fields, event), group="event")
    rows = np.arange(len(real))
    columns = {**real.read(real.schema.names(), rows), "event": rows // 2}
    grouped = Store.open(write_store(tmp_path / "grouped", schema, [("test", columns)], provenance={}))
    for store, told in ((real, False), (grouped, True)):
        draw_samples(Small(), store, stores["made"])
        assert ("belong together in groups (event)" in caplog.text) is told


def test_every_metric_has_its_truth_baseline_and_an_error(results):
    result = results["made"].result
    assert [metric.name for metric in result.metrics] == [truth.name for truth in result.truth_vs_truth]
    assert len({metric.name for metric in result.metrics}) == len(result.metrics) == 3 * 22
    for metric, truth in zip(result.metrics, result.truth_vs_truth, strict=True):
        assert (metric.definition, metric.title, metric.n) == (truth.definition, truth.title, truth.n)
        assert metric.low <= metric.value <= metric.high
        assert metric.better == ("higher" if metric.name.startswith("coverage") else "lower")


def test_the_truth_baseline_does_not_depend_on_what_was_generated(results):
    assert results["made"].result.truth_vs_truth == results["wrong"].result.truth_vs_truth


def test_every_metric_has_a_noise_line_that_is_far_from_real_and_fixed(results):
    made, wrong = (results[name].result for name in ("made", "wrong"))
    assert [metric.name for metric in made.noise] == [metric.name for metric in made.metrics]
    assert made.noise == wrong.noise
    for name in ("w1m", "w1_mass", "fpd", "classifier_auc"):
        assert made.noise_line(name).value > 2 * made.truth_line(name).value or name == "classifier_auc", name
    assert made.noise_line("classifier_auc").value > 0.8
    assert made.noise_line("w1_multiplicity").value == made.truth_line("w1_multiplicity").value


def test_every_interval_says_what_it_is_and_lies_where_the_number_can_lie(results):
    for metric in (*results["wrong"].result.metrics, *results["wrong"].result.noise):
        assert metric.error in ("statistical uncertainty", "fit uncertainty", "spread of batches"), (
            metric.name
        )
        if not metric.name.startswith("kpd"):
            assert metric.low >= 0, metric.name
        if metric.name.startswith(("coverage", "classifier_auc")):
            assert metric.high <= 1, metric.name
        assert definition_of(metric.definition) is not None, metric.definition
    kinds = {metric.name: metric.error for metric in results["made"].result.metrics}
    assert kinds["fpd"] == "fit uncertainty"
    assert kinds["w1m"] == kinds["kpd"] == kinds["coverage"] == "spread of batches"
    assert kinds["w1_mass"] == kinds["kl_mass"] == kinds["classifier_auc"] == "statistical uncertainty"


def test_noise_has_the_units_of_the_jets_that_are_compared_with(jet_columns):
    """Noise in the constants of wider jets is farther from the reference by orders of magnitude."""

    def jets(seed, wider=1.0):
        rng = np.random.default_rng(seed)
        columns = jet_columns(300, seed=seed, lengths=rng.integers(15, 40, 300))
        for name in ("eta", "phi"):
            axis = np.repeat(columns[f"jet_{name}"], columns[f"part_{name}"].lengths)
            away = columns[f"part_{name}"].values - axis
            away = np.angle(np.exp(1j * away)) if name == "phi" else away
            columns[f"part_{name}"] = columns[f"part_{name}"].with_values(axis + wider * away)
        return columns

    def features(columns):
        return efps(connected_efps(jet_sample(columns, max_constituents=150)))

    real, second, wide = jets(1), jets(2), jets(3, wider=4.0)
    own, foreign = (
        noise_jets(columns, second, max_constituents=150, rng=np.random.default_rng(0))
        for columns in (real, wide)
    )
    reference = features(real)
    truth, line, far = (fpd(reference, features(columns)).value for columns in (second, own, foreign))
    assert 3 * truth < line < 3
    assert far > 100 * line
    np.testing.assert_array_equal(own["part_pt"].lengths, second["part_pt"].lengths)


def test_noise_counts_only_the_hardest_constituents(jet_columns):
    columns = jet_columns(60, seed=4, lengths=np.full(60, 30))
    made = noise_jets(columns, columns, max_constituents=10, rng=np.random.default_rng(0))
    assert (made["part_pt"].lengths == 10).all()
    hard = np.concatenate([np.log(columns["part_pt"].row(row)[:10]) for row in range(60)])
    logs = np.log(made["part_pt"].values)
    assert logs.mean() == pytest.approx(hard.mean(), abs=4 * hard.std() / np.sqrt(600))
    assert logs.std() == pytest.approx(hard.std(), rel=0.15)


def test_the_result_carries_the_spectra_that_figures_need(results, stores):
    drawn = {(one.group, one.axis.name): one for one in read_spectra(results["made"].path)}
    assert {group for group, _ in drawn} == {"", *CLASSES}
    mass = drawn["Tbqq", "mass"]
    assert set(mass.samples) == set(SAMPLES)
    samples = draw_samples(Small(), stores["real"], stores["made"])
    values = samples.generated.take(samples.rows("Tbqq")).values["mass"]
    edges = mass.axis.edges
    counts = np.histogram(np.clip(values, edges[0], np.nextafter(edges[-1], 0)), edges)[0]
    np.testing.assert_allclose(mass.samples["generated"].value, counts / len(values))
    share = counts / len(values)
    expected = np.sqrt(share * (1 - share) / len(values))
    np.testing.assert_allclose(mass.samples["generated"].error, expected, atol=1e-12)
    number = drawn["", "constituent_pt"].samples["reference"].value.sum()
    assert number == pytest.approx(samples.reference.jets.lengths.mean())
    assert read_spectra(results["made"].path / "nothing") == ()


def test_wrong_jets_are_told_from_real_ones(results):
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
    assert bad.metric("w1_pt").low > bad.truth_line("w1_pt").high
    assert bad.metric("classifier_auc").low > 0.75
    assert abs(good.truth_line("classifier_auc").value - 0.5) < 0.12


def test_the_result_names_data_model_and_sizes(results, stores):
    result = read_result(results["made"].path)
    assert result == results["made"].result
    assert result.data.rows_per_class == {"QCD": 100, "Tbqq": 100}
    assert (result.data.rows, result.data.split) == (200, "test")
    assert result.data.fingerprint == stores["real"].fingerprint
    assert result.model.fingerprint == stores["made"].fingerprint
    assert result.training.arm_name == "made"
    assert not (results["made"].path / "scores.arrow").exists()


def test_the_summary_prints_value_and_truth_baseline_side_by_side(results):
    line = next(line for line in summary_lines(results["made"]) if "W1M" in line)
    result = results["made"].result
    assert f"{result.metric('w1m').value:.5g}" in line
    assert f"truth-vs-truth baseline: {result.truth_line('w1m').value:.5g}" in line


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
        ("other", "real", "classes Hbb, QCD, the test rows of .* Tbqq; generate rows of exactly"),
        ("plain", "real", "no class"),
        ("few", "real", "30 generated rows and twice 100 real ones of class QCD.*at least 50"),
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
        built = make_learner(objective, network, schema)
    built.prepare([random_batch(features, context=context)])
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
    assert result.metric("fpd").value > result.truth_line("fpd").value
    options = MeasureOptions(generated=tmp_path / "r-jets")
    again = Small().generate(open_subject(model, device="cpu"), stores["real"], options)
    assert again.fingerprint == made.fingerprint


def test_neither_store_nor_model(stores, tmp_path):
    with pytest.raises(ModelError, match="neither a model directory nor a store of generated rows"):
        evaluate(tmp_path, Small(), stores["real"], output=tmp_path / "r")


def test_the_command_says_what_is_wrong(stores):
    arguments = [str(stores["few"].path), "--on", "jet_generation", "--store", str(stores["real"].path)]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2
    assert "generate more rows" in done.output


@pytest.mark.parametrize("name", [name for name in TASKS if isinstance(load_task(name), GenerationTask)])
def test_generation_tasks_keep_their_promises(name):
    task = load_task(name)
    assert task.name == name
    assert task.rows_per_class >= task.min_rows >= MIN_JETS
    if isinstance(task, JetGenerationTask):
        assert task.protocol.max_constituents >= 30
        assert task.min_rows >= task.protocol.emd.jets
