"""``hepfm unfold`` on toy events: the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from levels import toy_store

from hepfm.analyses.analysis import checked
from hepfm.analyses.unfold import BOOTSTRAP, NOMINAL, UnfoldAnalysis
from hepfm.core.config import merge
from hepfm.core.errors import ConfigError, DataError
from hepfm.core.files import read_json
from hepfm.data.learned_weights import LearnedWeights
from hepfm.data.store import Store
from hepfm.workflow.child import execute
from hepfm.workflow.folder import Workspace
from hepfm.workflow.verbs.unfold import ITERATIONS, PROJECTIONS

TREES = {"name": "trees", "max_iter": 25, "max_leaf_nodes": 6}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    toy_store(folder / "data", 6000, mean=0.2, width=0.9, seed=2)
    toy_store(folder / "simulation", 6000, seed=1)
    toy_store(folder / "other", 6000, mean=-0.1, seed=3)
    toy_store(folder / "far", 300, mean=50.0, seed=4)
    toy_store(folder / "zero", 300, weight=0.0, seed=5)
    toy_store(folder / "background", 600, mean=1.5, width=0.3, seed=6)
    return folder


def recipe(stores: Path, **changes: Any) -> dict[str, Any]:
    names = ("data", "simulation", "other", "far", "zero", "background")
    values = {
        "stores": {name: str(stores / name) for name in names},
        "data": {"store": "data"},
        "simulation": {"store": "simulation"},
        "observables": {"x": {"bins": 8, "low": -2, "high": 2}, "y": [-1.5, -0.5, 0.5, 1.5]},
        "estimator": TREES,
        "omnifold": {"iterations": 3},
        "replicas": {"trainings": 2, "bootstrap": 3},
    }
    return merge(values, changes)


@pytest.fixture(scope="module")
def done(stores: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("unfold")
    changes = {"replicas": {"systematics": {"shifted": {"store": "other"}}}}
    analysis = UnfoldAnalysis.read(recipe(stores, **changes))
    for run in checked(analysis).runs.values():
        execute(Workspace(folder), run)
    from hepfm.analyses.analysis import analyse

    return folder, analyse(analysis, output=folder, report_only=True)


def test_the_result_is_nearer_to_the_truth_than_the_simulation(done) -> None:
    _, result = done
    assert result.exit_code == 0
    for name in ("x", "y"):
        assert result.numbers[name]["distance"] < 0.4 * result.numbers[name]["prior_distance"]


def test_the_weights_are_of_all_events_at_particle_level(done, stores: Path) -> None:
    folder, result = done
    learned = LearnedWeights.read(result.files["weights"])
    store = Store.open(stores / "simulation")
    learned.check(store)
    assert result.files["weights"] == folder / "weights.parquet"
    assert set(store.read(["jet_level"], learned.rows)["jet_level"]) == {1}
    assert learned.info.replicas == {"training": 2, "bootstrap": 3}
    trained = [learned.replicas[f"weight_training_{number}"] for number in (1, 2)]
    np.testing.assert_allclose(learned.weight, np.mean(trained, axis=0))
    mean = np.average(store.read(["x"], learned.rows)["x"], weights=learned.weight)
    assert mean == pytest.approx(0.2, abs=0.07)


def test_what_was_unfolded_predicts_the_number_of_events(done, stores: Path) -> None:
    _, result = done
    table = pq.read_table(result.files["weights"])
    truth = Store.open(stores / "data").read(["jet_level"])["jet_level"]
    assert table.column("weight").to_numpy().sum() == pytest.approx((truth == 1).sum(), rel=0.04)


def test_the_page_tells_results_weights_and_convergence(done) -> None:
    _, result = done
    assert result.report is not None
    page = result.report.read_text()
    for words in ("effective events", "change / statistical error", "D&#39;Agostini", "systematic", "1000 Δ"):
        assert words in page
    names = {path.stem for path in (result.report.parent / "csv").iterdir()}
    assert {
        "closure",
        "uncertainties",
        "weights-by-iteration",
        "convergence",
        "unfolded-x",
        "folded-x",
    } <= names


def test_runs_are_addressed_by_what_determines_them(stores: Path) -> None:
    first = UnfoldAnalysis.read(recipe(stores)).runs()
    assert {kind for kind, _ in first} == {NOMINAL, BOOTSTRAP}
    again = UnfoldAnalysis.read(recipe(stores, replicas={"bootstrap": 5})).runs()
    assert {run.name for run in first.values()} < {run.name for run in again.values()}
    other = UnfoldAnalysis.read(recipe(stores, omnifold={"iterations": 4})).runs()
    assert not {run.name for run in first.values()} & {run.name for run in other.values()}


def test_a_stopped_run_goes_on_behind_its_last_iteration(stores: Path, tmp_path: Path) -> None:
    run = UnfoldAnalysis.read(recipe(stores)).runs()[NOMINAL, "1"]
    for folder in ("whole", "stopped"):
        execute(Workspace(tmp_path / folder), run)
    stopped = Workspace(tmp_path / "stopped").run(run.name).path
    (stopped / "done.json").unlink()
    (stopped / ITERATIONS / "3.json").unlink()
    before = (stopped / ITERATIONS / "2.npy").stat().st_mtime_ns
    execute(Workspace(tmp_path / "stopped"), run)
    assert (stopped / ITERATIONS / "2.npy").stat().st_mtime_ns == before
    whole = Workspace(tmp_path / "whole").run(run.name).path
    assert read_json(stopped / PROJECTIONS) == read_json(whole / PROJECTIONS)


def test_closure_and_stress(stores: Path, tmp_path: Path) -> None:
    found = {}
    for test in ("closure", "stress"):
        changes = {"test": test, "stress": {"observable": "x", "strength": 0.8}}
        run = UnfoldAnalysis.read(recipe(stores, **changes)).runs()[NOMINAL, "1"]
        execute(Workspace(tmp_path), run)
        found[test] = read_json(Workspace(tmp_path).run(run.name).path / PROJECTIONS)
    prior, truth = (np.asarray(found["stress"][key]["x"]) for key in ("prior", "truth"))
    ratio = truth / prior
    assert ratio[-1] > 1.4 > 0.7 > ratio[0]
    unfolded = np.asarray(found["stress"]["unfolded"][-1]["x"])
    assert np.abs(unfolded - truth).sum() < 0.4 * np.abs(prior - truth).sum()
    closed = np.asarray(found["closure"]["unfolded"][-1]["x"])
    np.testing.assert_allclose(closed, found["closure"]["truth"]["x"], rtol=0.25)


def test_background_is_subtracted(stores: Path, tmp_path: Path) -> None:
    perceptron = {"name": "perceptron", "epochs": 4}
    values = recipe(
        stores, estimator=perceptron, background={"store": "background"}, omnifold={"iterations": 1}
    )
    values["estimator"] = perceptron
    run = UnfoldAnalysis.read(values).runs()[NOMINAL, "1"]
    execute(Workspace(tmp_path), run)
    folder = Workspace(tmp_path).run(run.name)
    assert folder.facts(), folder.failure()
    data = Store.open(stores / "data").read(["jet_level"])["jet_level"]
    background = Store.open(stores / "background").read(["jet_level"])["jet_level"]
    found = read_json(folder.path / PROJECTIONS)["data"]["x"]
    assert sum(found) == pytest.approx((data == 0).sum() - (background == 0).sum())


def failure(values: dict[str, Any], folder: Path) -> str:
    run = UnfoldAnalysis.read(values).runs()[NOMINAL, "1"]
    execute(Workspace(folder), run)
    found = Workspace(folder).run(run.name).failure()
    assert found is not None
    return str(found["message"])


def test_disjoint_samples_are_refused_by_observable(stores: Path, tmp_path: Path) -> None:
    assert "do not overlap in x" in failure(recipe(stores, data={"store": "far"}), tmp_path)


def test_weights_that_are_all_zero_are_refused(stores: Path, tmp_path: Path) -> None:
    assert "weights 'w' are zero" in failure(recipe(stores, data={"store": "zero"}), tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"store": "dat"}}, "no store 'dat' in section stores"),
        ({"observables": {"z": [0, 1, 2]}}, "no observable 'z'"),
        ({"observables": {"jet_level": [0, 1, 2]}}, "is of kind categorical"),
        ({"simulation": {"split": "train"}}, "no split 'train'"),
    ],
)
def test_what_cannot_work_is_refused_before_any_run(stores: Path, changes: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        checked(UnfoldAnalysis.read(recipe(stores, **changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"observables": {"x": [0, 0, 1]}},
        {"observables": {"x": {"bins": 3, "low": 1, "high": 0}}},
        {"omnifold": {"iterations": 0}},
        {"omnifold": {"start": "warm"}},
        {"test": "closed"},
    ],
)
def test_mistyped_values_are_refused(stores: Path, changes: Any) -> None:
    with pytest.raises(ConfigError):
        UnfoldAnalysis.read(recipe(stores, **changes))


def test_rows_of_one_level_are_no_simulation(stores: Path, tmp_path: Path) -> None:
    values = recipe(stores, simulation={"only": ["jet_level", "particle"]})
    assert "pair" in failure(values, tmp_path)


def test_nothing_is_reported_while_nothing_is_done(stores: Path, tmp_path: Path) -> None:
    from hepfm.analyses.analysis import analyse

    result = analyse(UnfoldAnalysis.read(recipe(stores)), output=tmp_path, report_only=True)
    assert result.report is None
    assert result.exit_code == 1


def test_errors_name_the_store(stores: Path) -> None:
    with pytest.raises((ConfigError, DataError), match="nowhere"):
        checked(
            UnfoldAnalysis.read({**recipe(stores), "stores": {**recipe(stores)["stores"], "data": "nowhere"}})
        )
