"""``hepfm reweight`` on toy rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from levels import toy_store

from hepfm.analyses.analysis import analyse, checked
from hepfm.analyses.reweight import NOMINAL, ReweightAnalysis
from hepfm.core.config import merge
from hepfm.core.errors import ConfigError
from hepfm.data.learned_weights import LearnedWeights
from hepfm.data.store import Store
from hepfm.workflow.child import execute
from hepfm.workflow.folder import Workspace


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    toy_store(folder / "target", 6000, mean=0.3, width=0.9, seed=2)
    toy_store(folder / "source", 6000, seed=1)
    toy_store(folder / "same", 6000, seed=7)
    toy_store(folder / "far", 300, mean=50.0, seed=4)
    return folder


def recipe(stores: Path, **changes: Any) -> dict[str, Any]:
    values = {
        "stores": {name: str(stores / name) for name in ("target", "source", "same", "far")},
        "source": {"store": "source", "only": ["jet_level", "particle"]},
        "target": {"store": "target", "only": ["jet_level", "particle"]},
        "observables": {"x": {"bins": 8, "low": -2, "high": 2}, "y": [-1.5, -0.5, 0.5, 1.5]},
        "held_out": ["y"],
        "estimator": {"name": "trees", "max_iter": 40, "max_leaf_nodes": 6},
        "replicas": {"trainings": 2, "bootstrap": 4},
    }
    return merge(values, changes)


@pytest.fixture(scope="module")
def done(stores: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("reweight")
    analysis = ReweightAnalysis.read(recipe(stores))
    for run in checked(analysis).runs.values():
        execute(Workspace(folder), run)
    return analyse(analysis, output=folder, report_only=True)


def test_the_source_resembles_the_target(done, stores: Path) -> None:
    learned = LearnedWeights.read(done.files["weights"])
    source, target = Store.open(stores / "source"), Store.open(stores / "target")
    mean = np.average(source.read(["x"], learned.rows)["x"], weights=learned.weight)
    columns = target.read(["x", "jet_level"])
    wanted = columns["x"][columns["jet_level"] == 1]
    assert mean == pytest.approx(wanted.mean(), abs=0.03)
    assert learned.weight.sum() == pytest.approx(len(wanted))


def test_another_classifier_finds_less(done) -> None:
    assert done.numbers["auc"]["before"] > 0.57
    assert abs(done.numbers["auc"]["after"] - 0.5) < 0.02


def test_held_out_observables_close_too(done) -> None:
    """The one held out is a function of what was looked at."""
    assert done.numbers["observables"]["y"]["distance"] < 1e-3


def test_the_page(done) -> None:
    page = done.report.read_text()
    for words in ("held out", "Calibration", "effective rows", "AUC of another classifier"):
        assert words in page


def test_equal_samples_keep_their_weights(stores: Path, tmp_path: Path) -> None:
    run = ReweightAnalysis.read(recipe(stores, target={"store": "same"})).runs()[NOMINAL, "1"]
    execute(Workspace(tmp_path), run)
    facts = Workspace(tmp_path).run(run.name).facts()
    assert facts is not None
    assert facts["weights"]["effective_rows"] > 0.98 * facts["weights"]["rows"]


def test_disjoint_samples_are_refused(stores: Path, tmp_path: Path) -> None:
    run = ReweightAnalysis.read(recipe(stores, target={"store": "far"})).runs()[NOMINAL, "1"]
    execute(Workspace(tmp_path), run)
    failure = Workspace(tmp_path).run(run.name).failure()
    assert failure is not None
    assert "do not overlap in x" in failure["message"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"held_out": ["x", "y"]}, "nothing is left to look at"),
        ({"held_out": ["z"]}, "'z', which is not among"),
        ({"source": {"store": "sourc"}}, "no store 'sourc'"),
        ({"reweight": {"folds": 1}}, "folds"),
        ({"estimator": {"name": "tree"}}, "tree"),
    ],
)
def test_mistakes_of_the_recipe(stores: Path, changes: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ReweightAnalysis.read(recipe(stores, **changes))
