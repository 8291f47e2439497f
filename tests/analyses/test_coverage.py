"""Tests of coverage: toys of an unfolding, each with its replicas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from levels import toy_store

from hepfm.analyses.analysis import analyse, checked
from hepfm.analyses.coverage_outcome import LEVELS, Coverage, coverage
from hepfm.analyses.unfold import BOOTSTRAP, NOMINAL, UnfoldAnalysis
from hepfm.analyses.unfold_outcome import UnfoldedSpectrum
from hepfm.core.errors import ConfigError, DataError
from hepfm.data.store import Store
from hepfm.methods.samples import SampleConfig, WeightedSample, events_of, part_of_toys
from hepfm.workflow.child import execute
from hepfm.workflow.folder import Workspace

EDGES = tuple(np.linspace(0.0, 8.0, 9).tolist())


def spectra(toys: int, *, replicas: int = 20, bias: float = 0.0, scale: float = 1.0) -> dict[int, Any]:
    """Return toys of Poisson counts; uncertainties are right times `scale`."""
    rng = np.random.default_rng(1)
    mean = np.linspace(40.0, 90.0, 8)
    found = {}
    for toy in range(1, toys + 1):
        truth = rng.poisson(mean).astype(float)
        drawn = truth + scale * (rng.poisson(mean, (replicas, 8)) - mean)
        one = {"truth": mean, "data": truth, "expected": mean, "prior": mean}

        def projection(result: np.ndarray, one: dict[str, Any] = one) -> dict[str, Any]:
            lists = {key: {"x": value.tolist()} for key, value in one.items()}
            shifted = {"x": (result + bias * np.sqrt(mean)).tolist()}
            return {**lists, "unfolded": [shifted], "folded": [shifted], "bayesian": {"x": result.tolist()}}

        runs = {(NOMINAL, "1"): projection(truth)}
        runs |= {(BOOTSTRAP, str(number)): projection(row) for number, row in enumerate(drawn)}
        found[toy] = {"x": UnfoldedSpectrum.of("x", EDGES, runs)}
    return found


def of_method(found: list[Coverage], name: str) -> Coverage:
    return next(one for one in found if one.method == name)


def test_right_intervals_cover_as_often_as_they_say() -> None:
    one = of_method(coverage(spectra(400), "x"), "OmniFold")
    for level in LEVELS:
        share, error = one.share(level)
        assert abs(share - level) < 4 * error + 0.01  # counts are not quite normal
    assert one.width == pytest.approx(one.expected_width, rel=0.05)
    assert one.offset < 0.1
    assert one.rejected / len(one.p) == pytest.approx(0.05, abs=0.035)


@pytest.mark.parametrize(("options", "least"), [({"scale": 0.5}, 0.2), ({"bias": 2.0}, 0.4)])
def test_wrong_intervals_are_found(options: dict[str, float], least: float) -> None:
    found = coverage(spectra(60, **options), "x")
    one = of_method(found, "OmniFold")
    share, error = one.share(LEVELS[0])
    assert share < LEVELS[0] - least
    assert error < 0.05
    assert one.rejected > len(one.p) / 3
    if "bias" in options:
        assert one.offset == pytest.approx(2.0, rel=0.15)
        assert of_method(found, "binned").offset < 0.2


def test_bins_with_few_events_are_left_out() -> None:
    toys = spectra(5)
    for one in toys.values():
        one["x"].truth[0] = 1.0
    (first, *_) = coverage(toys, "x")
    assert not first.used[0]
    assert first.pulls.shape == (5, 7)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    toy_store(folder / "data", 1500, mean=0.1, seed=2)
    toy_store(folder / "simulation", 1500, seed=1)
    return folder


def recipe(stores: Path, **changes: Any) -> dict[str, Any]:
    return {
        "stores": {name: str(stores / name) for name in ("data", "simulation")},
        "data": {"store": "data"},
        "simulation": {"store": "simulation"},
        "observables": {"x": {"bins": 4, "low": -2, "high": 2}},
        "estimator": {"name": "trees", "max_iter": 5, "max_leaf_nodes": 4},
        "omnifold": {"iterations": 1},
        "replicas": {"trainings": 1, "bootstrap": 3},
        "test": "coverage",
        "toys": 3,
        **changes,
    }


def test_toys_share_no_event_and_miss_none(stores: Path) -> None:
    sample = WeightedSample.of(Store.open(stores / "data"), SampleConfig(store="data"))
    toys = [part_of_toys(sample, number, 4, 7, "toys") for number in range(4)]
    rows = np.concatenate([one.rows for one in toys])
    np.testing.assert_array_equal(np.sort(rows), np.sort(sample.rows))
    events = [set(events_of(one).tolist()) for one in toys]
    assert sum(map(len, events)) == len(set.union(*events))
    with pytest.raises(DataError, match="too few for 100000 toys"):
        part_of_toys(sample, 5, 100_000, 7, "toys")


def test_a_page_tells_coverage_of_both_methods(stores: Path, tmp_path: Path) -> None:
    analysis = UnfoldAnalysis.read(recipe(stores))
    runs = checked(analysis).runs
    assert len(runs) == 3 * 4
    *first, last = runs.values()
    for run in first:
        execute(Workspace(tmp_path), run)
    part = analyse(analysis, output=tmp_path, report_only=True)
    assert part.numbers["x"]["OmniFold"]["toys"] == 2
    assert part.report is not None
    assert "waiting" in part.report.read_text()
    execute(Workspace(tmp_path), last)
    whole = analyse(analysis, output=tmp_path, report_only=True)
    assert whole.exit_code == 0
    assert set(whole.numbers["x"]) == {"OmniFold", "binned"}
    assert 0 <= whole.numbers["x"]["binned"]["coverage_68"] <= 1
    assert "weights" not in whole.files


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"store": "simulation"}}, "the same events"),
        ({"replicas": {"bootstrap": 2}}, "at least 3 bootstrap replicas"),
        ({"toys": 1}, "toys"),
    ],
)
def test_what_tells_no_coverage_is_refused(stores: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        UnfoldAnalysis.read(recipe(stores, **changes))
