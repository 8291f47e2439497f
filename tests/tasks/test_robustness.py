"""Robustness: scores that are moved by known distances, and every input that cannot be measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from hepfm.core.errors import ConfigError, DataError, ModelError
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.bootstrap import bootstrap_values, bootstrap_weights, percentile_interval
from hepfm.metrics.score_shift import shift_statistic
from hepfm.report.compare import compare
from hepfm.simulate.resimulation import Resimulation
from hepfm.tasks.base import load_task
from hepfm.tasks.evaluate import measure
from hepfm.tasks.result import ResultFile
from hepfm.tasks.result_folder import ROW_GROUP, SCORES

CLASSES = ("QCD", "Tbqq")
FIELDS = Resimulation().fields()
"""Origin, and one of the variations nominal, seed, fsr_up and fsr_down."""


class Scores:
    """Scores that are a function of class, variation and row number."""

    classes = CLASSES
    fingerprint = "0" * 16
    training: ClassVar[dict[str, Any]] = {"arm": "scores"}

    def __init__(self, function: Callable[[Any, Any, Any], Any]) -> None:
        self.function = function

    def score(self, store: Store, rows: Any) -> Any:
        columns = store.read(["jet_label", "jet_variation"], rows)
        label, variation = (np.asarray(columns[name]).astype(int) for name in columns)
        top = np.broadcast_to(self.function(label, variation, rows), rows.shape)
        return np.stack([1 - top, top], axis=1)


@pytest.fixture(scope="module")
def columns(jet_columns: Any) -> dict[str, Any]:
    """400 rows of two classes, four simulations of each origin."""
    rows = np.arange(400)
    label = (rows // 4 % 2).astype(np.int16)
    return {
        **jet_columns(400, seed=4, lengths=np.full(400, 3)),
        "jet_label": label,
        "jet_origin": rows // 4,
        "jet_variation": (rows % 4).astype(np.int8),
    }


def write(path: Path, columns: dict[str, Any], *, rows: Any = None) -> Store:
    schema = replace(jet_schema(CLASSES, extra=FIELDS), group="jet_origin")
    store = Store.open(write_store(path, schema, [("test", columns)], provenance={"source": "test"}))
    if rows is None:
        return store
    some = store.read(schema.names(), rows)
    return Store.open(
        write_store(path.with_name("some"), schema, [("test", some)], provenance={"source": "test"})
    )


@pytest.fixture(scope="module")
def store(columns: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write(tmp_path_factory.mktemp("robustness") / "store", columns)


def result_of(function: Any, store: Store, folder: Path, **options: Any) -> ResultFile:
    task = load_task({"name": "robustness", **options})
    return measure(Scores(function), task, store, output=folder).result


def value(result: ResultFile, name: str) -> float | None:
    return result.metric(name).value


def noise(rows: Any) -> Any:
    """Return numbers from 0 to 1 that are the same for all simulations of an origin."""
    return np.random.default_rng(1).random(1000)[rows // 4]


def test_a_known_move_of_the_scores_is_the_shift(store: Store, tmp_path: Path) -> None:
    def moved(label: Any, variation: Any, rows: Any) -> Any:
        return 0.2 + 0.4 * label + 0.1 * noise(rows) + 0.05 * (variation == 2) * (label == 1)

    result = result_of(moved, store, tmp_path / "result")
    assert value(result, "shift_fsr_up_Tbqq") == pytest.approx(0.05, abs=1e-6)
    for name in ("shift_fsr_up_QCD", "shift_fsr_down_Tbqq", "shift_seed_Tbqq", "relative_shift_floor"):
        assert value(result, name) == pytest.approx(0.0, abs=1e-6), name
    # Four shifts that count (two simulations, two classes), over 0.4 between the classes and their noise.
    means = [noise(np.flatnonzero(np.arange(400) // 4 % 2 == k)).mean() for k in (0, 1)]
    apart = 0.4 + 0.1 * (means[1] - means[0])
    assert value(result, "relative_shift") == pytest.approx(0.05 / 4 / apart, rel=1e-5)
    assert [value(result, f"auc_{name}") for name in ("nominal", "seed", "fsr_up", "fsr_down")] == [1.0] * 4


def test_random_and_constant_scores_are_not_called_robust(store: Store, tmp_path: Path) -> None:
    random = np.random.default_rng(3).random(400)
    result = result_of(lambda label, variation, rows: random[rows], store, tmp_path / "random")
    relative, floor = (result.metric(name) for name in ("relative_shift", "relative_shift_floor"))
    assert relative.value is not None
    assert relative.value > 0.3
    assert floor.value == pytest.approx(relative.value, rel=0.9)
    assert relative.low is not None
    assert relative.high is not None
    assert relative.low <= relative.value <= relative.high
    constant = result_of(lambda label, variation, rows: np.float64(0.5), store, tmp_path / "constant")
    assert value(constant, "relative_shift") is None
    assert value(constant, "shift_fsr_up_QCD") == 0.0
    assert value(constant, "auc_nominal") == 0.5


def test_rows_of_one_group_are_resampled_together(store: Store, tmp_path: Path) -> None:
    groups = np.array([7, 7, 3, 7, 3])
    for counts in bootstrap_weights(5, groups=groups):
        assert len(set(counts[groups == 7])) == len(set(counts[groups == 3])) == 1
    # All simulations of an origin have one score: with whole origins drawn no resample moves a shift from 0.
    result = result_of(
        lambda label, variation, rows: 0.3 + 0.3 * label + 0.2 * noise(rows), store, tmp_path / "one"
    )
    assert result.metric("shift_fsr_up_QCD").high == pytest.approx(0.0, abs=1e-6)
    wide = result_of(
        lambda label, variation, rows: 0.4 + 0.1 * label + 0.3 * noise(rows), store, tmp_path / "two"
    )
    rows = load_task(wide.task.spec).row_statistics(tmp_path / "two", wide)
    assert rows is not None
    assert rows.groups is not None
    assert rows.groups.tolist() == np.asarray(store.read(["jet_origin"])["jet_origin"]).tolist()
    draws = bootstrap_values([rows.metrics["auc_nominal"]], rows.weights, groups=rows.groups)[:, 0]
    measured = wide.metric("auc_nominal")
    assert (measured.low, measured.high) == pytest.approx(percentile_interval(draws), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_distance_is_that_of_scipy(seed: int) -> None:
    from scipy.stats import wasserstein_distance

    rng = np.random.default_rng(seed)
    scores, weights = rng.integers(0, 9, 60) / 9, rng.poisson(1.0, 60).astype(float)
    ours, theirs = np.arange(20), np.arange(25, 60)
    expected = wasserstein_distance(scores[ours], scores[theirs], weights[ours], weights[theirs])
    assert shift_statistic(scores, ours, theirs)(weights) == pytest.approx(expected)
    assert np.isnan(shift_statistic(scores, ours, theirs)(np.zeros(60)))


def test_two_models_are_compared_and_a_report_shows_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def whole(*given: Any, groups: Any = None) -> Any:
        assert len(set(groups)) == 100
        return bootstrap_values(*given, groups=groups)

    monkeypatch.setattr("hepfm.report.comparer.bootstrap_values", whole)
    for arm, shift in (("firm", 0.0), ("scratch", 0.2)):
        scorer = Scores(
            lambda label, variation, rows, by=shift: (
                0.3 + 0.3 * label + 0.1 * noise(rows) + by * (variation > 1)
            )
        )
        scorer.training = {"arm": arm, "seed": 1}  # type: ignore[misc]
        measure(scorer, load_task("robustness"), store, output=tmp_path / arm)
    compare([tmp_path / "firm", tmp_path / "scratch"], output=tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "shift over the distance of the classes" in page
    assert "Random scores give about 1" in page
    # A result that says nothing of groups has other resamples: they would not be pairs.
    scores = tmp_path / "firm" / SCORES
    table = pa.ipc.open_file(scores).read_all().drop_columns([ROW_GROUP])
    with pa.ipc.new_file(str(scores), table.schema) as writer:
        writer.write_table(table)
    monkeypatch.undo()
    with pytest.raises(DataError, match="hold other test rows, or say otherwise which belong together"):
        compare([tmp_path / "firm", tmp_path / "scratch"], output=tmp_path / "again")


def steady(label: Any, variation: Any, rows: Any) -> Any:
    return 0.3 + 0.3 * label + 0.1 * noise(rows)


def test_a_simulation_without_rows_is_left_out(columns: dict[str, Any], tmp_path: Path) -> None:
    rows = np.flatnonzero(np.arange(400) % 4 != 3)
    result = result_of(steady, write(tmp_path / "store", columns, rows=rows), tmp_path / "result")
    names = [metric.name for metric in result.metrics]
    assert "auc_fsr_up" in names
    assert not [name for name in names if "fsr_down" in name]
    assert result.data.rows == 300
    one = result_of(steady, write(tmp_path / "again", columns), tmp_path / "one", variations="fsr_up")
    assert one.data.rows == 200
    assert "auc_seed" not in [metric.name for metric in one.metrics]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"variation": "jet_setting"}, DataError, "has no field 'jet_setting'"),
        ({"variation": "jet_pt"}, DataError, "'jet_pt' of the store .* is continuous of the object"),
        ({"nominal": "seeds"}, DataError, "has no simulation 'seeds'; did you mean 'seed'.*nominal, seed"),
        ({"variations": ["herwig"]}, DataError, "has no simulation 'herwig'"),
        ({"variations": ["nominal"]}, ConfigError, "leave it out of variations"),
        ({"variations": ["seed"]}, DataError, "at least one other simulation than 'seed'"),
        ({"signal": "Top"}, DataError, "has no class 'Top'"),
        ({"shift": "up"}, ConfigError, "unknown key 'shift'"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: dict[str, Any], error: type[Exception], message: str, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        result_of(steady, store, tmp_path / "result", **options)
    assert not (tmp_path / "result").exists()


@pytest.mark.parametrize("simulations", [(0,), (0, 1), (1, 2, 3)])
def test_stores_without_simulations_to_compare_are_refused(
    simulations: tuple[int, ...], columns: dict[str, Any], tmp_path: Path
) -> None:
    some = write(tmp_path / "store", columns, rows=np.flatnonzero(np.isin(np.arange(400) % 4, simulations)))
    with pytest.raises(DataError, match="compares 'nominal' with at least one other simulation"):
        result_of(steady, some, tmp_path / "result")


def test_a_class_without_rows_and_scores_that_are_no_numbers_are_refused(
    columns: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    some = write(tmp_path / "store", columns, rows=np.flatnonzero(columns["jet_label"] == 0))
    with pytest.raises(DataError, match=r"no test row of .* that counts has jet_label = Tbqq"):
        result_of(steady, some, tmp_path / "result")
    with pytest.raises((DataError, ModelError), match=r"not finite|NaN"):
        result_of(lambda label, variation, rows: np.float64(np.nan), store, tmp_path / "result")
