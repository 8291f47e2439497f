"""``hepfm anomaly`` on data of unknown truth: what its page says, and what it refuses; costs of searches."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from jet_pairs import pair_store
from resonance_events import FEATURES, REGIONS, resonance_store

from hepfm.analyses.analysis import analyse, checked
from hepfm.analyses.anomaly import AnomalySearch
from hepfm.core.config import merge
from hepfm.core.errors import ConfigError
from hepfm.core.files import read_json
from hepfm.data.store import Store
from hepfm.workflow.child import execute
from hepfm.workflow.folder import Workspace
from hepfm.workflow.verbs.anomaly import OUTCOME, SearchOnce

pytest.importorskip("pyhf", reason="the extra 'stat' is not installed")
pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")

TREES = {"name": "trees", "max_iter": 20, "max_leaf_nodes": 6}
EVENTS, SIGNAL = 3000, 150


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {"train": (EVENTS, SIGNAL), "val": (2000, 200), "test": (2000, 300)}
    return resonance_store(tmp_path_factory.mktemp("stores") / "toy", sizes, independent=True)


def sample(split: str, kind: str | None = None) -> dict[str, Any]:
    only = {} if kind is None else {"only": ["event_label", kind]}
    return {"store": "toy", "split": split, **only}


def recipe(store: Path, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "stores": {"toy": str(store)},
        "data": sample("train"),
        "regions": REGIONS.model_dump(mode="json"),
        "features": list(FEATURES),
        "methods": {"cwola": {"name": "cwola", "estimator": TREES}},
        "trainings": 2,
        "folds": 2,
        "efficiencies": [0.2, 0.05],
        "hunt": {"pseudo_experiments": 19},
    }
    return merge(values, changes)


KNOWN = {
    "test_background": sample("test", "background"),
    "test_signal": sample("test", "signal"),
    "reference": sample("val", "background"),
    "signal": sample("val", "signal"),
    "methods": {"supervised": {"name": "supervised", "estimator": TREES}},
}


def searched(values: dict[str, Any], folder: Path) -> tuple[Any, str]:
    """Return the result of an analysis, and the words of its page."""
    analysis = AnomalySearch.read(values)
    for run in checked(analysis).runs.values():
        assert execute(Workspace(folder), run) == "done", Workspace(folder).run(run.name).failure()
    done = analyse(analysis, output=folder, report_only=True)
    return done, " ".join(done.report.read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def alone(store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    return searched(recipe(store), tmp_path_factory.mktemp("box"))


@pytest.fixture(scope="module")
def with_tests(store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    few = {"trainings": 1, "efficiencies": [0.05]}  # a limit takes seconds
    values = recipe(store, **KNOWN, **few)
    return searched(merge(values, {"methods": {"cwola": None}}), tmp_path_factory.mktemp("box"))


def test_a_box_alone_has_no_more_than_its_bump(alone: tuple[Any, str]) -> None:
    done, page = alone
    assert done.exit_code == 0
    assert "no significance improvement" in page
    assert "a limit on a signal is not known" in page
    assert "whether cuts change its spectrum, and so make bumps, is not known" in page
    assert "Control without signal" not in page
    tables = {path.stem for path in (done.report.parent / "csv").iterdir()}
    assert tables == {"agreement", "bump-hunt", "spectrum", "spectrum-cwola-20", "spectrum-cwola-5"}
    hunts = done.numbers["cwola"]
    assert list(hunts) == ["1", "0.2", "0.05"]
    assert hunts["1"]["observed"][0] == hunts["1"]["observed"][2]  # no training chooses the data before a cut
    low, _, high = hunts["0.05"]["p_region"]
    assert high < 1e-3  # the signal is there
    assert low <= high
    assert all(one["limit"] is None for one in hunts.values())


def test_with_known_events_there_are_limits_and_sculpting(with_tests: tuple[Any, str]) -> None:
    done, page = with_tests
    assert "a limit on a signal is not known" not in page
    assert "true test background before and after cuts" in page
    assert "no significance improvement" in page
    assert SIGNAL / 2 < done.numbers["supervised"]["0.05"]["limit"][1] < 3 * SIGNAL  # such a signal is there
    table = (done.report.parent / "csv" / "sculpting.csv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 1 + 1


def test_labels_of_the_data_are_never_read(store: Path, tmp_path: Path, alone: tuple[Any, str]) -> None:
    from hepfm.data.writer import StoreWriter

    source = Store.open(store)
    columns = source.read(source.schema.names(), source.split("train"))
    columns["event_label"] = np.roll(np.asarray(columns["event_label"]), 700)
    with StoreWriter(tmp_path / "other", source.schema, provenance={"source": "test"}) as writer:
        writer.write(columns, split="train")
    done, _ = searched(recipe(tmp_path / "other"), tmp_path / "out")
    assert done.numbers == alone[0].numbers


def test_ranks_of_all_events_are_given(alone: tuple[Any, str], store: Path) -> None:
    done, _ = alone
    table = pq.read_table(done.files["ranks of the events"])
    assert table.column_names == ["row", REGIONS.field, "rank_cwola"]
    source = Store.open(store)
    columns = source.read([REGIONS.field, "event_label"], np.asarray(table["row"]))
    np.testing.assert_allclose(np.asarray(table[REGIONS.field]), np.asarray(columns[REGIONS.field]))
    rank, signal = np.asarray(table["rank_cwola"]), np.asarray(columns["event_label"]) == 1
    assert rank[signal].mean() > rank[~signal].mean() + 0.2
    outcomes = [read_json(path) for path in done.path.glob(f"runs/*/{OUTCOME}")]
    assert len(outcomes) == 2
    assert all(one["events"]["injected"] is None and one["best"] is None for one in outcomes)


def test_one_training_has_no_spread_and_the_page_says_so(store: Path, tmp_path: Path) -> None:
    _, page = searched(recipe(store, trainings=1, efficiencies=[0.2]), tmp_path)
    assert "There is one training of each method" in page


def test_a_search_in_simulation_becomes_one_in_data_by_nulls(store: Path) -> None:
    base = {"background": sample("train", "background"), "signals": [0, 10], "draws": 4, "events": 100}
    nulls = dict.fromkeys((*base, "signal"))
    search = AnomalySearch.read({**recipe(store), **base, **nulls})
    assert len(search.runs()) == 2
    assert (search.config.signals, search.config.draws) == ((0,), 1)
    again = AnomalySearch.read(search.config.model_dump(mode="json"))
    assert again.config == search.config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"background": sample("val", "background")}, "leave out background, or set them to null"),
        ({"signals": [0, 100], "draws": 3}, "leave out signals, draws"),
        ({"events": 100}, "leave out events"),
        ({"signal": sample("val", "signal")}, "what a supervised method learns, and there is none"),
        ({"reference": sample("train")}, "reference and data are the same events"),
        ({"test_background": sample("train")}, "test_background and data are the same events"),
        ({"data": None}, "no background and no signal and no test_background and no test_signal"),
        ({"data": {"store": "tox"}}, "no store 'tox'"),
        ({**KNOWN, "test_signal": sample("val", "signal")}, "signal and test_signal are the same events"),
    ],
)
def test_recipes_that_cannot_work(store: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AnomalySearch.read(recipe(store, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"methods": {"cwola": {"name": "idealised"}}},
            "knows true background: name a sample of it .reference",
        ),
        (
            {"methods": {"cwola": {"name": "supervised"}}},
            "knows true background: name a sample of it .reference",
        ),
        ({**KNOWN, "signal": None}, "knows true signal: name a sample of it .signal"),
        ({"data": sample("trian")}, "no split 'trian'"),
    ],
)
def test_what_is_refused_before_any_run(store: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(AnomalySearch.read(recipe(store, **changes)))


def test_costs_of_a_search_are_timed_in_small(store: Path, tmp_path: Path) -> None:
    search = AnomalySearch.read(recipe(store, **KNOWN, hunt={"pseudo_experiments": 0, "limit": False}))
    graph, verb = checked(search), SearchOnce()
    by_method = {run.note: run for run in graph.runs.values()}
    cwola, supervised = by_method["cwola"], by_method["supervised"]
    assert verb.amount(graph, cwola) == EVENTS + SIGNAL  # two folds, each trained on the other
    # What is known, once: at most all rows of a split, of which samples take those of a class.
    assert verb.amount(graph, supervised) == 2 * (2000 + 200)
    small, large = (verb.small(cwola, rows=rows) for rows in (100, 400))
    timing = verb.time(Workspace(tmp_path), small, large)
    assert timing.unit >= 0
    assert timing.start >= 0
    assert timing.memory > 1e7
    assert not list(tmp_path.iterdir())  # nothing is left
    assert verb.search(Workspace(tmp_path), large)[2].work == 400


def test_costs_of_a_network_are_those_of_its_steps(tmp_path: Path) -> None:
    path = pair_store(tmp_path / "pairs", {"train": (60, 10)})
    estimator = {
        "name": "network",
        "backbone": {"name": "transformer", "width": 16, "depth": 1, "num_heads": 2},
        "features": "kin",
        "train": {"steps": 1000, "batch_size": 32, "validate_every": 100, "device": "cuda"},
    }
    values = recipe(path, data={"store": "toy", "split": "train"}, features=["dijet_lighter_mass"])
    values["methods"] = {"cwola": {"name": "cwola", "estimator": estimator}}
    search, verb = AnomalySearch.read(values), SearchOnce()
    graph = checked(search)
    run = next(iter(search.runs().values()))
    validated = 10 * round(0.2 * 2 * 35)
    assert verb.amount(graph, run) == pytest.approx(2 * (1000 * 32 + (validated + 2 * 35) / 3))
    few = verb.small(run, rows=500).values["options"]["method"]["estimator"]["train"]
    assert (few["steps"], few["validate_every"], few["batch_size"]) == (10, 10, 32)
    assert verb.needs(run, cores=2).gpus == 1
