"""``hepfm anomaly`` on a toy resonance."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from resonance_events import FEATURES, REGIONS, resonance_store

from hepfm.analyses.analysis import analyse, checked
from hepfm.analyses.anomaly import AnomalySearch, Key
from hepfm.analyses.anomaly_outcome import Quantiles, Rate, groups
from hepfm.core.config import merge
from hepfm.core.errors import ConfigError
from hepfm.core.files import read_json
from hepfm.workflow.child import execute
from hepfm.workflow.folder import Workspace
from hepfm.workflow.verbs.anomaly import OUTCOME

pytest.importorskip("pyhf", reason="the extra 'stat' is not installed")
pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")

TREES = {"name": "trees", "max_iter": 30, "max_leaf_nodes": 6}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {"train": (9000, 600), "val": (4000, 10), "test": (5000, 600)}
    return resonance_store(tmp_path_factory.mktemp("stores") / "toy", sizes, independent=True)


def rows(split: str, kind: str) -> dict[str, Any]:
    return {"store": "toy", "split": split, "only": ["event_label", kind]}


def recipe(store: Path, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "stores": {"toy": str(store)},
        "background": rows("train", "background"),
        "signal": rows("train", "signal"),
        "test_background": rows("test", "background"),
        "test_signal": rows("test", "signal"),
        "reference": rows("val", "background"),
        "regions": REGIONS.model_dump(mode="json"),
        "features": list(FEATURES),
        "methods": {
            "cwola": {"name": "cwola", "estimator": TREES},
            "supervised": {"name": "supervised", "estimator": TREES},
        },
        "signals": [0, 100],
        "events": 3000,
        "draws": 3,
        "folds": 2,
        "efficiencies": [0.2, 0.05],
        "hunt": {"pseudo_experiments": 19, "limit": False},
    }
    return merge(values, changes)


@pytest.fixture(scope="module")
def done(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("anomaly")
    analysis = AnomalySearch.read(recipe(store))
    for run in checked(analysis).runs.values():
        execute(Workspace(folder), run)
    return analyse(analysis, output=folder, report_only=True)


def outcomes(done: Any, store: Path) -> dict[Key, Any]:
    runs = AnomalySearch.read(recipe(store)).runs()
    return {key: read_json(Workspace(done.path).run(run.name).path / OUTCOME) for key, run in runs.items()}


def test_every_search_is_done_and_signal_is_found(done: Any) -> None:
    assert done.exit_code == 0
    assert len(done.states) == 12
    for name in ("cwola", "supervised"):
        low, median, high = done.numbers[name]["100"]["improvement"]
        assert 2 < low <= median <= high
    assert done.numbers["cwola"]["0"]["improvement"][1] < 1.7


def test_the_page_says_what_was_asked(done: Any) -> None:
    page = done.report.read_text(encoding="utf-8")
    for words in ("Control without signal", "Sculpting", "Bump hunt and limits", "Significance improvement"):
        assert words in page
    assert "draws share" not in page
    tables = {path.stem for path in (done.report.parent / "csv").iterdir()}
    assert {"improvement", "improvement-100", "no-signal", "bump-hunt", "sculpting"} <= tables


def test_draws_are_other_data_and_methods_see_the_same(done: Any, store: Path) -> None:
    found = outcomes(done, store)
    regions = {
        (key.draw, key.method): one["events"]["region"] for key, one in found.items() if not key.signals
    }
    assert len({regions[draw, "cwola"] for draw in (1, 2, 3)}) > 1
    assert all(regions[draw, "cwola"] == regions[draw, "supervised"] for draw in (1, 2, 3))
    assert all(one["events"]["injected"] == key.signals for key, one in found.items())


def test_cuts_keep_what_they_say_and_signal_rises(done: Any, store: Path) -> None:
    for key, one in outcomes(done, store).items():
        for cut in one["cuts"]:
            assert cut["kept"] == pytest.approx(cut["efficiency"] * one["events"]["data"], abs=2)
            assert sum(cut["counts"]) == cut["kept"]
        if key.signals:
            hunt = one["cuts"][1]["hunt"]
            assert hunt["observed"] > hunt["expected"]
            assert hunt["p_region"] < 1e-3
            assert hunt["p_global"] == pytest.approx(1 / 20)


def test_quantiles_and_rates(done: Any, store: Path) -> None:
    by_name = {(one.method, one.signals): one for one in groups(outcomes(done, store))}
    one = by_name["cwola", 100]
    assert one.fraction == pytest.approx(100 / 3000 / 0.12, rel=0.5)
    assert one.significance > 1
    assert Quantiles.of([None]) is None
    assert Quantiles.of([1.0, None, 3.0]) == Quantiles(2.0, 1.32, pytest.approx(2.68), 2)
    rate = Rate.of([0.01, None, 0.5])
    assert rate == Rate(1, 2)
    assert rate is not None
    assert rate.interval[0] < 0.05 < rate.interval[1]


def test_a_page_warns_of_draws_that_share_background(store: Path, tmp_path: Path) -> None:
    changes = {"events": 6000, "signals": [0], "draws": 2, "hunt": {"pseudo_experiments": 0}}
    values = recipe(store, **changes)
    values["methods"] = {"cwola": {"name": "cwola", "estimator": {**TREES, "max_iter": 3}}}
    analysis = AnomalySearch.read(values)
    for run in checked(analysis).runs.values():
        execute(Workspace(tmp_path), run)
    done = analyse(analysis, output=tmp_path, report_only=True)
    assert "draws share" in done.report.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": ["event_x", "event_dijet_mass"]}, "every method would find the region itself"),
        ({"test_background": rows("train", "background")}, "are the same events"),
        ({"reference": rows("test", "background")}, "give it other events"),
        ({"signals": [0, 0]}, "signals names a number twice"),
        ({"signal": {"store": "other"}}, "no store 'other'"),
        ({"efficiencies": [1.5]}, "less than 1"),
        ({"methods": {"cwola": {"name": "cwla"}}}, "cwola"),
    ],
)
def test_recipes_that_cannot_work(store: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AnomalySearch.read(recipe(store, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": ["event_z"]}, "has no observable 'event_z'"),
        ({"regions": {"field": "event_mas"}}, "has no observable 'event_mas'"),
        ({"reference": None}, "knows true background: name a sample of it"),
        ({"signal": {"split": "trian"}}, "no split 'trian'"),
        ({"methods": {"cwola": {"name": "score", "model": "nowhere", "head": "jet_label"}}}, "nowhere"),
    ],
)
def test_what_is_refused_before_any_run(store: Path, changes: dict[str, Any], message: str) -> None:
    values = recipe(store, **changes)
    if "methods" in changes:
        values["methods"] = changes["methods"]
    with pytest.raises(ConfigError, match=message):
        checked(AnomalySearch.read(values))
