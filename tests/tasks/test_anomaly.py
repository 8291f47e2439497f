"""Anomaly detection by distance: known embeddings, the four scores, and inputs that cannot be measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp

from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError, DataError, ModelError
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.definitions import definition_of
from hepfm.report.compare import compare
from hepfm.tasks.anomaly_scores import ANOMALY_SCORES
from hepfm.tasks.base import MeasureOptions, load_task
from hepfm.tasks.evaluate import evaluate, result_file
from hepfm.tasks.result import ResultFile
from hepfm.tasks.result_folder import read_result, write_result
from hepfm.tasks.subject import Subject
from hepfm.testing.tasks import check_agreement, check_statistics, save_scoring_model

CLASSES = ("QCD", "Hbb", "Tbqq")
SCORES = list(ANOMALY_SCORES)
FEW = {
    "knn": {"neighbours": 5},
    "log_sum_exp": {"neighbours": 10},
    "mahalanobis": {},
    "gaussian_mixture": {"components": 2},
}


@pytest.fixture(scope="module")
def store(jet_columns: Any, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three classes in turn; training rows are nearly all QCD."""
    parts = []
    for split, rows in (("train", 120), ("test", 150)):
        label = np.arange(rows) % 3 if split == "test" else (np.arange(rows) % 40 == 0) * 2
        columns = {**jet_columns(rows, seed=rows, lengths=np.full(rows, 4)), "jet_label": label}
        parts.append((split, columns))
    path = tmp_path_factory.mktemp("anomaly") / "store"
    return Store.open(write_store(path, jet_schema(CLASSES), parts, provenance={"source": "test"}))


class Embedder(Subject):
    """Vectors round one direction for QCD, and round others for the signals, `far` away."""

    def __init__(self, far: float, *, arm: str = "made up", broken: bool = False) -> None:
        super().__init__(fingerprint="0" * 16, path="", training={"arm": arm, "seed": 1})
        self.far, self.broken = far, broken

    def embed(self, store: Store, rows: Any) -> Any:
        label = np.asarray(store.read(["jet_label"], rows)["jet_label"]).astype(int)
        noise = np.random.default_rng(7).normal(size=(300, 6))[rows]
        vectors = 0.2 * noise + np.eye(6)[0] + self.far * np.eye(6)[label] * (label > 0)[:, None]
        vectors[:1] = np.nan if self.broken else vectors[:1]
        return vectors


def measured(subject: Subject, store: Store, folder: Path, **options: Any) -> ResultFile:
    task = load_task({"name": "anomaly", "signal": ["Hbb", "Tbqq"], **options})
    bound = task.bind(store.schema, where="the store")
    found = bound.measure(subject, store, MeasureOptions())
    result = result_file(found, subject=subject, task=bound, store=store)
    write_result(folder, result, found.tables)
    return result


@pytest.mark.parametrize("name", SCORES)
def test_rows_far_from_the_bank_are_found_and_others_are_not(name: str, store: Store, tmp_path: Path) -> None:
    score = {"name": name, **FEW[name]}
    pure = ["jet_label", "QCD"]
    far = measured(Embedder(3.0), store, tmp_path / "far", score=score, reference=pure)
    near = measured(Embedder(0.0), store, tmp_path / "near", score=score, reference=pure)
    assert far.metric("auc").value == pytest.approx(1.0, abs=0.02)
    assert far.metric("efficiency_1").value == pytest.approx(1.0, abs=0.1)
    assert near.metric("auc").value == pytest.approx(0.5, abs=0.12)
    for result in (far, near):
        task = load_task(result.task.spec)
        assert [metric.name for metric in result.metrics] == [metric.name for metric in task.metrics()]
        check_agreement(task, result)
        check_statistics(task, result, tmp_path / ("far" if result is far else "near"))
        assert all(definition_of(metric.definition) for metric in result.metrics)
        for group in ("", "_Hbb", "_Tbqq"):
            efficiency = result.metric(f"efficiency_10{group}").value
            improvement = result.metric(f"significance_improvement_10{group}").value
            assert improvement == pytest.approx(efficiency / 0.1**0.5)
    # The row's numbers do not know the classes: the baseline is the same whatever the network.
    (first,), (second,) = far.baselines, near.baselines
    assert first == second
    assert first.name == "row"
    assert first.metric("auc").value == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("name", SCORES)
def test_labels_enter_nothing_but_the_measurement(name: str, store: Store, tmp_path: Path) -> None:
    """Signal and background exchanged turn the area round; the bank is the same."""
    score = {"name": name, **FEW[name]}
    one = measured(Embedder(0.3), store, tmp_path / "one", score=score, signal="Tbqq", background="QCD")
    other = measured(Embedder(0.3), store, tmp_path / "other", score=score, signal="QCD", background="Tbqq")
    assert one.metric("auc").value == pytest.approx(1 - other.metric("auc").value)
    assert one.metric("auc").value > 0.5


@pytest.mark.parametrize("name", SCORES)
def test_scores_are_what_they_say(name: str) -> None:
    rng = np.random.default_rng(2)
    bank, x = rng.normal(size=(50, 3)) * [1, 2, 3], rng.normal(size=(7, 3)) * 4
    component = resolve_component(ANOMALY_SCORES, {"name": name, **FEW[name]}, where="test")
    score = component.cls(component.config)
    score.fit(bank)
    assert score(x).shape == (7,)
    distances = np.linalg.norm(x[:, None] - bank, axis=2)
    if name == "knn":
        assert score(x) == pytest.approx(np.sort(distances)[:, :5].mean(axis=1))
    elif name == "log_sum_exp":
        cosine = (x @ bank.T) / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(bank, axis=1)
        best = -np.sort(-cosine)[:, :10]
        assert score(x) == pytest.approx(-0.02 * (logsumexp(best / 0.02, axis=1) - np.log(10)))
    else:
        assert (score(100 * x) > score(x)).all()
    if name == "mahalanobis":
        plain = component.cls(component.cls.Config(shrinkage=0.0))
        plain.fit(bank)
        off = x - bank.mean(axis=0)
        inverse = np.linalg.inv(np.cov(bank.T, bias=True))
        assert plain(x) == pytest.approx(np.sqrt(np.einsum("ri,ij,rj->r", off, inverse, off)))


@pytest.mark.parametrize("name", SCORES)
def test_a_collapsed_network_finds_nothing(name: str, store: Store, tmp_path: Path) -> None:
    """All embeddings are equal: every distance ties, and the area is that of chance."""

    class Collapsed(Embedder):
        def embed(self, store: Store, rows: Any) -> Any:
            return np.ones((len(rows), 6))

    result = measured(Collapsed(0.0), store, tmp_path / "result", score={"name": name, **FEW[name]})
    assert result.metric("auc").value == pytest.approx(0.5)


def test_the_bank_is_a_draw_of_training_rows_by_the_seed(store: Store, tmp_path: Path) -> None:
    values = [
        measured(Embedder(0.5), store, tmp_path / f"{number}", bank=40, seed=seed).metric("auc").value
        for number, seed in enumerate((0, 0, 1))
    ]
    assert values[0] == values[1] != values[2]
    task: Any = load_task({"name": "anomaly", "signal": "Hbb", "background": "QCD", "bank": 40})
    bound = task.bind(store.schema, where="the store")
    assert set(bound._bank(store)) <= set(np.asarray(store.split("train")))
    chosen = load_task(
        {**bound.options(), "name": "anomaly", "bank": 500, "reference": ["jet_label", "Tbqq"]}
    )
    assert "bank of jet_label = Tbqq" in chosen.title
    assert len(chosen._bank(store)) == 3  # type: ignore[attr-defined]


def test_lengths_of_embeddings_and_units_of_numbers_have_no_influence(store: Store, tmp_path: Path) -> None:
    class Long(Embedder):
        def embed(self, store: Store, rows: Any) -> Any:
            return super().embed(store, rows) * (1 + np.asarray(rows))[:, None]

    plain, long = (measured(kind(0.3), store, tmp_path / kind.__name__) for kind in (Embedder, Long))
    assert long.metrics == plain.metrics
    bound: Any = load_task({"name": "anomaly", "signal": "Tbqq"}).bind(store.schema, where="the store")
    (answer,) = bound._answers(Embedder(0.0), store)
    numbers = answer.vectors(store, bound._bank(store))
    assert numbers.mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-6)
    assert numbers.std(axis=0)[:3] == pytest.approx(np.ones(3))  # all rows have as many constituents


def test_a_model_is_measured_and_two_are_compared(store: Store, tmp_path: Path) -> None:
    model = save_scoring_model(store, "jet_pt", tmp_path / "model")
    spec = {"name": "anomaly", "signal": "Tbqq", "background": "QCD"}
    done = evaluate(model, spec, store, output=tmp_path / "model-result", device="cpu")
    assert read_result(done.path) == done.result
    for arm, far in (("good", 2.0), ("poor", 0.0)):
        measured(Embedder(far, arm=arm), store, tmp_path / arm, signal="Tbqq", background="QCD")
    folders = [tmp_path / "good", tmp_path / "poor", tmp_path / "model-result"]
    compare(folders, output=tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "the same distance of 4 numbers of the row" in page
    assert "ε<sub>S</sub> at ε<sub>B</sub> = 0.01" in page
    assert "ε<sub>S</sub>/√ε<sub>B</sub> at" not in page
    table = next((tmp_path / "report" / "csv").glob("*results.csv")).read_text()
    assert "significance_improvement_1," in table


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"score": {"name": "knn", "neighbours": 121}},
            ConfigError,
            "has 120 rows and score.neighbours is 121",
        ),
        ({"score": "log_sum_exp", "bank": 99}, ConfigError, "has 99 rows and score.neighbours is 100"),
        ({"score": {"name": "gaussian_mixture", "components": 130}}, ConfigError, "score.components is 130"),
        ({"score": {"name": "knn", "neighbors": 3}}, ConfigError, "unknown key 'score.neighbors'|neighbours"),
        ({"score": "forest"}, ConfigError, "unknown anomaly_score 'forest'"),
        ({"bank": 1}, ConfigError, "bank"),
        ({"signal": "Wqq"}, DataError, "no class 'Wqq'"),
        ({"signal": ()}, ConfigError, "say which are signal and which background"),
        ({"field": "jet_pt"}, DataError, "needs a categorical field of the rows: jet_label"),
        ({"field": "colour"}, DataError, "has no field 'colour'"),
        ({"reference": ["jet_label", "Hbb"]}, DataError, "no training row that has jet_label = Hbb"),
        ({"reference": ["jet_label", "Wqq"]}, DataError, "no class 'Wqq'"),
        ({"reference": ["jet_kind", "Wqq"]}, DataError, "has no field 'jet_kind'"),
        ({"background_efficiencies": [1.5]}, ConfigError, "background_efficiencies"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: dict[str, Any], error: type[Exception], message: str, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        measured(Embedder(1.0), store, tmp_path / "result", **options)


def test_subjects_without_embeddings_or_with_broken_ones_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="embeddings are NaN or infinite"):
        measured(Embedder(1.0, broken=True), store, tmp_path / "result")
    with pytest.raises(ModelError, match="gives no summary vectors"):
        evaluate(store.path, {"name": "anomaly", "signal": "Tbqq"}, store, output=tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_store_without_training_rows_or_without_a_class_is_refused(store: Store, tmp_path: Path) -> None:
    columns = store.read(store.schema.names(), store.split("test"))
    path = write_store(tmp_path / "tests", store.schema, [("test", columns)], provenance={"source": "test"})
    with pytest.raises(DataError, match="train"):
        measured(Embedder(1.0), Store.open(path), tmp_path / "result")
    rows = np.flatnonzero(np.asarray(columns["jet_label"]) != 1)
    parts = [
        (split, store.read(store.schema.names(), np.asarray(store.split(split))[chosen]))
        for split, chosen in (("train", slice(None)), ("test", rows))
    ]
    path = write_store(tmp_path / "few", store.schema, parts, provenance={"source": "test"})
    with pytest.raises(DataError, match="has jet_label = Hbb"):
        measured(Embedder(1.0), Store.open(path), tmp_path / "result")
