"""The contract of every registered task: what it says beforehand, and what it measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from task_cases import (
    OPTIONS,
    by_need,
    save_generating_model,
    store_of,
    task_of,
)

from hepfm.core.errors import ConfigError, DataError, IncompatibleError, ModelError
from hepfm.core.schema import Schema
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.definitions import definition_of
from hepfm.metrics.discovery import asimov_significance
from hepfm.metrics.generation.emd import EmdBatches
from hepfm.tasks import TASKS
from hepfm.tasks.base import Task, load_task
from hepfm.tasks.evaluate import Evaluation, evaluate
from hepfm.tasks.result_folder import read_result
from hepfm.tasks.samples import draw_samples
from hepfm.tasks.spectra import read_spectra
from hepfm.testing.tasks import LAWS, TaskCase, check_agreement, save_scoring_model

SCORING, GENERATING = by_need("field"), by_need("generator")

PERFECT = {
    "accuracy": 1.0,
    "adjusted": 1.0,
    "balanced": 1.0,
    "pair": 1.0,
    "auc": 1.0,
    "mean": 1.0,
    "efficiency": 1.0,
    "event": 1.0,
    "correct": 1.0,
    "resonance": 1.0,
    "purity": 1.0,
    "rejection": None,
    "relative": 0.0,
    "residual": 0.0,
    "response": 0.0,
    "shift": 0.0,
    # Background rows that all score alike leave one bin, and no threshold that a least number of them passes.
    "expected": asimov_significance(140 * np.array([1.0]), 140 * np.array([502.0]), uncertainty=0.1),
    "largest": 1.0,
    "significance": 1 / 0.01**0.5,
}
"""Value of a metric on scores that are the truth, by the first word of its name."""

DETERMINISTIC = {"w1": 0.0, "kl": 0.0, "sep": 0.0}
"""Metrics of generated rows without random draws, and their value on two equal samples."""


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Any:
    """Take few draws of the Frechet distance and few transports; their values are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hepfm.metrics.generation.frechet.DRAWS", 2)
        for name in GENERATING:
            task = type(task_of(name))
            if hasattr(task, "protocol"):
                small = replace(task.protocol, emd=EmdBatches(jets=10, batches=2))
                patch.setattr(task, "protocol", small)
        yield


@pytest.mark.parametrize("name", list(TASKS))
def test_what_a_task_says_beforehand(name: str) -> None:
    task = task_of(name)
    assert task.name == name
    assert task.version >= 1
    names = [metric.name for metric in task.metrics()]
    assert len(names) == len(set(names)) > 0
    assert all(metric.title for metric in task.metrics())
    assert task.headline.name == task.primary in names
    assert task.split == "test"
    assert (task.needs.field is None) is (task.needs.generator or task.needs.embedding)
    # Without the name of the file reports would not pair the rows of two results.
    assert (task.row_file is None) is (type(task).row_statistics is Task.row_statistics)
    # What compares networks alone needs no field, and another network in its place.
    assert task.fields or task.needs.embedding
    with pytest.raises((DataError, ConfigError), match=r"has no field|names no label|say which model"):
        task.bind(Schema(()), where="an empty store")


@pytest.fixture(scope="module")
def scoring_stores(tmp_path_factory: pytest.TempPathFactory, jet_columns: Any) -> dict[str, Store]:
    """A store for each task that scores rows."""
    folder = tmp_path_factory.mktemp("stores")
    return {name: store_of(task_of(name), jet_columns, folder / name) for name in SCORING}


def scoring_case(name: str, stores: dict[str, Store], folder: Path) -> TaskCase:
    spec, store = {"name": name, **OPTIONS.get(name, {})}, stores[name]
    return TaskCase(spec, store, folder, "event" if "object_pt" in store.schema else "kin")


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", SCORING)
def test_contract(
    name: str, law: Callable[[TaskCase], None], scoring_stores: dict[str, Store], tmp_path: Path
) -> None:
    law(scoring_case(name, scoring_stores, tmp_path))


@pytest.mark.parametrize("name", SCORING)
def test_resampled_rows_give_other_metrics(
    name: str, scoring_stores: dict[str, Store], tmp_path: Path
) -> None:
    store, task = scoring_stores[name], task_of(name)
    assert task.needs.field is not None
    features = scoring_case(name, scoring_stores, tmp_path).features
    model = save_scoring_model(store, task.needs.field, tmp_path / "model", features=features)
    spec = {"name": name, **OPTIONS.get(name, {})}
    evaluate(model, spec, store, output=tmp_path / "result", device="cpu")
    result = read_result(tmp_path / "result")
    done = load_task(result.task.spec)
    assert done.row_file is not None
    assert (tmp_path / "result" / done.row_file).exists()
    rows = done.row_statistics(tmp_path / "result", result)
    assert rows is not None
    resampled = rows.weights * np.random.default_rng(1).poisson(1.0, len(rows.rows))
    values = [rows.metrics[info.name](resampled) for info in result.metrics]
    assert any(value != pytest.approx(info.value) for value, info in zip(values, result.metrics, strict=True))


@pytest.mark.parametrize("name", SCORING)
def test_scores_that_are_the_truth_give_the_perfect_value(
    name: str, scoring_stores: dict[str, Store], tmp_path: Path
) -> None:
    """Their columns are in the opposite order: classes are matched by name, or nothing would be perfect."""
    result = scoring_case(name, scoring_stores, tmp_path).measured("perfect", blur=0.0)
    for info in result.metrics:
        assert definition_of(info.definition) is not None, info.definition
        perfect = PERFECT[info.name.split("_")[0]]
        assert info.value == (None if perfect is None else pytest.approx(perfect, abs=1e-9)), info.name
        if perfect is None:
            assert info.low is not None
            assert info.high is None


@pytest.mark.parametrize("name", SCORING)
def test_every_metric_of_class_scores_has_its_statistic(
    name: str, scoring_stores: dict[str, Store], tmp_path: Path
) -> None:
    case = scoring_case(name, scoring_stores, tmp_path)
    result = case.measured("result")
    if result.task.classes:
        rows = case.bound.row_statistics(tmp_path / "result", result)
        assert rows is not None
        assert list(rows.metrics) == [metric.name for metric in case.bound.metrics()]


# -- tasks that generate


@pytest.fixture(scope="module")
def real_jets(tmp_path_factory: pytest.TempPathFactory, jet_columns: Any) -> Store:
    """Test jets of one class, as many as any task needs."""
    columns = dict(jet_columns(620, seed=5, lengths=np.random.default_rng(5).integers(4, 12, 620)))
    columns["jet_label"] = np.zeros(620, np.int16)
    path = tmp_path_factory.mktemp("real") / "jets"
    write_store(path, jet_schema(JETCLASS_CLASSES), [("test", columns)], provenance={"source": "test"})
    return Store.open(path)


@pytest.fixture(scope="module")
def generated(
    tmp_path_factory: pytest.TempPathFactory, real_jets: Store, shower_store: Store
) -> dict[str, tuple[Store, Evaluation]]:
    """The result of a tiny generator on each task that generates, and the real rows."""
    folder = tmp_path_factory.mktemp("generated")
    showers = save_generating_model(
        shower_store, folder / "calo", features="calo", context="incident", length=96
    )
    jets = save_generating_model(real_jets, folder / "jets", features="pet", context="jet", length=12)
    results = {}
    for name in GENERATING:
        model, real = (showers, shower_store) if task_of(name).needs.conditioned else (jets, real_jets)
        results[name] = (real, evaluate(model, name, real, output=folder / name, device="cpu"))
    return results


@pytest.mark.parametrize("name", GENERATING)
def test_a_tiny_generator_is_measured_and_its_result_reads_back(
    name: str, generated: dict[str, tuple[Store, Evaluation]]
) -> None:
    task, (real, evaluation) = task_of(name), generated[name]
    result = read_result(evaluation.path)
    assert result == evaluation.result
    check_agreement(task, result)
    for info in (*result.metrics, *result.truth_vs_truth, *result.noise):
        assert definition_of(info.definition) is not None, info.definition
    if task.needs.conditioned:
        stores = real, Store.open(evaluation.path.with_name(f"{name}-jets"))
        given, drawn = (
            np.asarray(one.read(["incident_energy"], one.split("test"))["incident_energy"]) for one in stores
        )
        assert np.abs(drawn[:, None] / given - 1).min(axis=1) == pytest.approx(0, abs=1e-5)
    whole = [info.name for info in result.metrics if not info.detail]
    assert set(whole) <= {metric.name for metric in task.metrics()}
    for beside in (result.truth_vs_truth, result.noise):
        assert [info.name for info in beside] == [info.name for info in result.metrics]
    assert read_spectra(evaluation.path)
    assert Store.open(evaluation.path.with_name(f"{name}-jets")).num_rows >= result.data.rows


@pytest.mark.parametrize("name", GENERATING)
def test_noise_has_the_worse_headline_than_real_rows(
    name: str, generated: dict[str, tuple[Store, Evaluation]]
) -> None:
    task, (_, evaluation) = task_of(name), generated[name]
    result = evaluation.result
    real, noise = result.truth_line(task.primary), result.noise_line(task.primary)
    assert real is not None
    assert noise is not None
    assert (real.value > noise.value) is (task.headline.better == "higher")
    assert (real.value > result.metric(task.primary).value) is (task.headline.better == "higher")


@pytest.mark.parametrize("name", GENERATING)
def test_equal_samples_are_perfect_and_their_order_changes_nothing(
    name: str, generated: dict[str, tuple[Store, Evaluation]]
) -> None:
    task: Any = task_of(name)
    real, evaluation = generated[name]
    rows = Store.open(evaluation.path.with_name(f"{name}-jets"))
    samples = draw_samples(task, real, rows)
    order = np.random.default_rng(4).permutation(len(samples.reference))
    known = {metric.name: metric for metric in task.metrics()}

    def values(reference: Any, other: Any) -> dict[str, float]:
        measured = dict(task.compare(reference, other))
        assert set(measured) <= set(known)
        return {key: one.value for key, one in measured.items() if key.split("_")[0] in DETERMINISTIC}

    same = values(samples.reference, samples.reference.take(order))
    assert same
    for key, value in same.items():
        assert value == pytest.approx(DETERMINISTIC[key.split("_")[0]], abs=1e-9), key
    first = values(samples.reference, samples.generated)
    assert values(samples.reference.take(order), samples.generated.take(order[::-1])) == pytest.approx(first)
    assert min(value for key, value in first.items() if key.startswith("w1_")) >= 0
    assert max(first.values()) > 0


@pytest.mark.parametrize("name", [*SCORING, *GENERATING])
def test_subjects_that_cannot_do_it_are_refused(
    name: str, scoring_stores: dict[str, Store], real_jets: Store, shower_store: Store, tmp_path: Path
) -> None:
    task = task_of(name)
    if task.needs.generator:
        real = shower_store if task.needs.conditioned else real_jets
        model = save_scoring_model(real_jets, "jet_pt", tmp_path / "model")
        with pytest.raises(IncompatibleError, match="has no generator"):
            evaluate(model, name, real, output=tmp_path / "result", device="cpu")
    else:
        store = scoring_stores[name]
        spec = {"name": name, **OPTIONS.get(name, {})}
        events = "object_pt" in store.schema
        field, features = ("event_resonance_mass", "event") if events else ("jet_pt", "kin")
        other = save_scoring_model(store, field, tmp_path / "model", features=features)
        with pytest.raises(ModelError, match=r"with the objective \{name: \w+, label: "):
            evaluate(other, spec, store, output=tmp_path / "result", device="cpu")
        with pytest.raises(ModelError, match="predicts nothing"):
            evaluate(store.path, spec, store, output=tmp_path / "result", device="cpu")
    assert not (tmp_path / "result").exists()
