"""Searches for anomalies on a toy resonance: what finds a signal, what is never looked at, bad input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest, norm

sys.path.insert(0, str(Path(__file__).parents[1]))
from resonance_events import FEATURES, MASS, REGIONS, SLOPE, resonance_table, schema

from hepfm.core.config import resolve_component, validate
from hepfm.core.errors import ConfigError, DataError
from hepfm.core.rng import numpy_generator
from hepfm.data.table import Table
from hepfm.methods.anomaly import ANOMALY_METHODS
from hepfm.methods.anomaly.base import AnomalyMethod, SearchProblem
from hepfm.methods.anomaly.events import EventRows, Events
from hepfm.methods.anomaly.hunt import HuntConfig, hunt, upper_limit
from hepfm.methods.anomaly.injection import inject
from hepfm.methods.anomaly.maf import MafConfig, fit_maf
from hepfm.methods.anomaly.masses import draw_masses
from hepfm.methods.anomaly.outcome import outcome
from hepfm.methods.anomaly.regions import Regions
from hepfm.methods.anomaly.spectrum import bins_beside, bins_inside, fit_spectrum
from hepfm.methods.samples import SampleConfig, WeightedSample

pytest.importorskip("zuko", reason="the extra 'flows' is not installed")
pytest.importorskip("pyhf", reason="the extra 'stat' is not installed")

TREES = {"name": "trees", "max_iter": 40, "max_leaf_nodes": 8}
DENSITY = {
    "transforms": 3,
    "hidden": [32],
    "epochs": 12,
    "batch_size": 512,
    "learning_rate": 5e-3,
    "kept": 2,
    "device": "cpu",
}
NO_HUNT = HuntConfig(pseudo_experiments=0, limit=False)


def method(name: str, **options: Any) -> AnomalyMethod[Any]:
    component = resolve_component(ANOMALY_METHODS, {"name": name, **options}, where="test")
    made: AnomalyMethod[Any] = component.cls(component.config)
    return made


def events(table: Table, kind: str) -> Events:
    sample = WeightedSample.of(table, SampleConfig(store="toy", only=("event_label", kind)))
    return Events.of(sample, MASS)


def problem(
    count: int, *, size: int = 8000, draw: int = 0, independent: bool = False
) -> tuple[SearchProblem, Any, Any]:
    """Return a search, and which events of data and test are signal."""
    pool, test, known = (
        resonance_table(size, 1000, seed=10 * draw + seed, independent=independent) for seed in (1, 2, 3)
    )
    drawn = inject(events(pool, "background"), events(pool, "signal"), count=count, size=None, draw=0, seed=1)
    tests = [events(test, kind) for kind in ("background", "signal")]
    truth = np.repeat([False, True], [len(one) for one in tests])
    joined = Events.joined(tests)
    reference = events(known, "background")
    given = SearchProblem(drawn.events, joined, REGIONS, FEATURES, reference, drawn.left)
    return given, drawn.injected, truth


@pytest.fixture(scope="module")
def injected() -> tuple[SearchProblem, Any, Any]:
    return problem(150)


def best(given: SearchProblem, scores: Any, signal: Any, truth: Any, **options: Any) -> float:
    values = {"efficiencies": (0.1,), "least": 25, "config": NO_HUNT, "seed": 1, **options}
    found = outcome(given, scores, signal, truth, **values)
    return float(found["best"]["improvement"])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cwola", {"estimator": TREES}),
        ("idealised", {"estimator": TREES}),
        ("supervised", {"estimator": TREES}),
        ("cathode", {"estimator": TREES, "density": DENSITY}),
        ("anode", {"density": DENSITY}),
    ],
)
def test_signal_is_found(
    injected: tuple[SearchProblem, Any, Any], name: str, options: dict[str, Any]
) -> None:
    given, signal, truth = injected
    scores = method(name, **options).fit(given, folds=2, seed=3)
    assert best(given, scores, signal, truth) > 2


def test_without_signal_nothing_improves() -> None:
    given, signal, truth = problem(0)
    scores = method("cwola", estimator=TREES).fit(given, folds=2, seed=3)
    assert best(given, scores, signal, truth) < 1.7
    chance = numpy_generator(1, "test.chance").normal(size=(1, len(truth)))
    known = type(scores)(scores.data, scores.rank, np.zeros_like(scores.fold), chance + 3 * truth)
    assert best(given, known, signal, truth) > 2  # the same measure, of scores that know the truth


def test_no_event_is_scored_by_what_saw_it(injected: tuple[SearchProblem, Any, Any]) -> None:
    given, _, _ = injected
    seen: list[Any] = []

    class Spy(type(method("cwola"))):  # type: ignore[misc]
        def read(self, events: Events, features: Any) -> Any:
            return np.arange(len(events))

        def take(self, x: Any, places: Any) -> Any:
            return x[places]

        def learn(self, problem: SearchProblem, x: Any, prepared: Any, places: Any, seed: int) -> Any:
            learned = set(places.tolist())
            seen.append(learned)
            return lambda rows: np.array([float(row in learned) for row in rows.tolist()])

    scores = Spy(method("cwola").config).fit(given, folds=3, seed=1)
    assert (scores.data == 0).all()
    assert set.union(*seen) == set(range(len(given.data)))  # every event is looked at in some fold
    assert {len(one) for one in seen} <= {len(given.data) * 2 // 3, len(given.data) * 2 // 3 + 1}
    shares = [np.mean(scores.rank[scores.fold == fold] > 0.9) for fold in range(3)]
    assert shares == pytest.approx([0.1] * 3, abs=1e-3)


def test_sampled_features_follow_the_mass_into_the_region() -> None:
    background = events(resonance_table(20_000, 1, seed=4), "background")
    x, beside = background.observables(FEATURES), REGIONS.beside(background.mass)
    density = fit_maf(x[beside], background.mass[beside], validate(MafConfig, DENSITY, where="test"), seed=1)
    for mass in (3320.0, 3680.0):
        drawn = density.sample(np.full(20_000, mass), seed=2)
        assert drawn[:, 0].mean() == pytest.approx(SLOPE * (mass - 3500) / 1000, abs=0.08)
        assert drawn[:, 1].mean() == pytest.approx(0, abs=0.08)
        assert drawn.std(axis=0) == pytest.approx([1, 1 + 0.2 * 0.18], abs=0.1)
    inside = np.flatnonzero(REGIONS.inside(background.mass))
    lost = density.log_density(x[inside], background.mass[inside] - 1200.0).mean()
    assert density.log_density(x[inside], background.mass[inside]).mean() > lost + 0.05


def test_densities_are_normalised() -> None:
    background = events(resonance_table(3000, 1, seed=4), "background")
    options = validate(MafConfig, {**DENSITY, "epochs": 3}, where="test")
    density = fit_maf(background.observables(FEATURES), background.mass, options, seed=1)
    grid = np.linspace(-7, 7, 200)
    x = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2).astype(np.float32)
    total = np.exp(density.log_density(x, np.full(len(x), 3000.0))).sum() * (grid[1] - grid[0]) ** 2
    assert total == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("source", ["kde", "spectrum", "uniform"])
def test_masses_of_samples(source: Any) -> None:
    mass = events(resonance_table(40_000, 1, seed=6), "background").mass
    drawn = draw_masses(mass, REGIONS, 20_000, source, bandwidth=0.025, seed=1)
    assert REGIONS.inside(drawn).all()
    mean = 3500.0 if source == "uniform" else mass[REGIONS.inside(mass)].mean()
    assert drawn.mean() == pytest.approx(mean, abs=4)


def test_the_spectrum_is_interpolated_with_its_error() -> None:
    edges, pulls = REGIONS.edges, []
    centre = (edges[1:] + edges[:-1]) / 2
    truth = 4e4 * (centre / 3000) ** -6.0 * np.diff(edges) / 400
    for draw in range(60):
        counts = numpy_generator(draw, "test.spectrum").poisson(truth)
        fit = fit_spectrum(counts, edges, bins_beside(REGIONS), 2)
        expected, error = fit.within(bins_inside(REGIONS))
        pulls.append((expected - truth[bins_inside(REGIONS)].sum()) / error)
    assert abs(np.mean(pulls)) < 0.5
    assert 0.75 < np.std(pulls) < 1.3


def test_p_values_without_signal_are_even_and_a_signal_is_seen() -> None:
    edges, found = REGIONS.edges, []
    centre = (edges[1:] + edges[:-1]) / 2
    truth = 300 * (centre / 3000) ** -6.0
    config = HuntConfig(pseudo_experiments=39, limit=False)
    for draw in range(60):
        counts = numpy_generator(draw, "test.null").poisson(truth)
        found.append(hunt(counts, REGIONS, config, signal_efficiency=None, seed=draw))
    p_global = [one.p_global for one in found]
    assert kstest(p_global, "uniform").pvalue > 0.01
    assert sum(one.p_region < 0.05 for one in found) in range(9)  # 9 or more of 60 at a rate of 0.05: 0.3 %
    signal = np.where(bins_inside(REGIONS), 30, 0)
    seen = hunt(np.round(truth).astype(int) + signal, REGIONS, config, signal_efficiency=None, seed=1)
    assert seen.p_global == pytest.approx(1 / 40)
    assert seen.p_region < 1e-3
    assert seen.bump is not None
    assert REGIONS.signal[0] - 100 <= seen.bump[0] < seen.bump[1] <= REGIONS.signal[1] + 100


def test_the_limit_is_that_of_a_counting_experiment() -> None:
    counts = np.round(400 * np.exp(-np.arange(len(REGIONS.edges) - 1) / 9)).astype(int)
    config = HuntConfig(pseudo_experiments=0)
    half, whole = (
        hunt(counts, REGIONS, config, signal_efficiency=efficiency, seed=1) for efficiency in (0.5, 1.0)
    )
    assert half.limit == pytest.approx(2 * whole.limit, rel=0.03)
    # CLs of a Gaussian without excess: 1.96 standard deviations
    assert whole.limit == pytest.approx(1.96 * np.hypot(np.sqrt(whole.expected), whole.error), rel=0.15)


@pytest.mark.parametrize(
    ("observed", "expected", "error"),
    # Of a signal of 0.01 events the test statistic rounds to 0 / 0 in each of these.
    [(136, 167.4883, 33.581), (213, 223.8003, 29.8554), (670, 693.418, 1.5033), (1534, 1543.8096, 44.3225)],
)
def test_a_limit_is_found_whatever_the_background(observed: int, expected: float, error: float) -> None:
    pytest.importorskip("pyhf", reason="the extra 'stat' is not installed")
    spread = np.hypot(np.sqrt(expected), error)
    assert 0.3 * spread < upper_limit(observed, expected, error) < 3 * spread


def test_the_limit_of_much_background_is_that_of_a_normal_distribution() -> None:
    pytest.importorskip("pyhf", reason="the extra 'stat' is not installed")
    # CLs for what is expected: Phi(-s / sigma) = level / 2, as half of background-only experiments have less.
    assert upper_limit(10_000, 10_000.0, 1.0) == pytest.approx(norm.isf(0.025) * 100, rel=0.02)


def test_a_score_that_follows_the_field_sculpts(injected: tuple[SearchProblem, Any, Any]) -> None:
    given, signal, truth = injected
    scores = method("supervised", estimator=TREES).fit(given, folds=2, seed=3)
    chance = numpy_generator(1, "test.chance").random(scores.test.shape)
    p = {}
    for name, test in (("mass", given.test.mass[None]), ("chance", chance)):
        changed = type(scores)(scores.data, scores.rank, np.zeros_like(scores.fold), test)
        found = outcome(given, changed, signal, truth, efficiencies=(0.1,), least=25, config=NO_HUNT, seed=1)
        p[name] = found["cuts"][0]["sculpting"]["p"], found["cuts"][0]["sculpting"]["ks_p"]
    assert max(p["mass"]) < 1e-6
    assert min(p["chance"]) > 0.01


def test_few_test_events_have_no_chi_squared(injected: tuple[SearchProblem, Any, Any]) -> None:
    given, signal, truth = injected
    inside = REGIONS.inside(given.test.mass)
    few = np.r_[np.flatnonzero(~truth & inside)[:6], np.flatnonzero(truth & inside)[:6]]
    small = SearchProblem(given.data, given.test.take(few), REGIONS, FEATURES)
    scores = method("cwola", estimator=TREES).fit(small, folds=2, seed=1)
    found = outcome(small, scores, signal, truth[few], efficiencies=(0.5,), least=1, config=NO_HUNT, seed=1)
    shape = found["cuts"][0]["sculpting"]
    assert shape["chi_squared"] is None
    assert 0 < shape["ks_p"] <= 1
    json.dumps(found, allow_nan=False)


def test_draws_share_no_background_and_signal_is_nested() -> None:
    table = resonance_table(4000, 500, seed=1)
    background, signal = events(table, "background"), events(table, "signal")
    draws = [
        inject(background, signal, count=count, size=1000, draw=draw, seed=1)
        for draw, count in ((0, 50), (1, 50), (0, 20))
    ]
    masses = [set(one.events.mass[~one.injected]) for one in draws]
    assert len(masses[0] & masses[1]) < 20  # masses of different events may be equal
    assert masses[0] == masses[2]
    assert set(draws[2].events.mass[draws[2].injected]) <= set(draws[0].events.mass[draws[0].injected])
    assert not set(draws[0].left.mass) & set(draws[0].events.mass[draws[0].injected])
    x = draws[0].events.observables(FEATURES)
    assert x[draws[0].injected].mean(axis=0) == pytest.approx([2, 2], abs=0.2)  # rows stay with their masses


def test_weights_decide_what_is_drawn() -> None:
    def weighted(values: Any) -> Events:
        table = resonance_table(2000, 10, seed=1)
        columns = {name: table.read([name])[name] for name in table.schema.names()}
        heavy = Table.from_dict({**columns, "event_weight": np.float32(values)}, schema(weight=True))
        return events(heavy, "background")

    signal = events(resonance_table(10, 500, seed=2), "signal")
    late = np.arange(2010) >= 1000
    drawn = inject(weighted(np.where(late, 1.0, 0.0)), signal, count=0, size=None, draw=0, seed=1)
    assert len(drawn.events) == 1000
    assert (drawn.events.weights == 1).all()
    with pytest.raises(DataError, match="all 2000 weights 'event_weight' are zero"):
        weighted(np.zeros(2010))
    with pytest.raises(DataError, match="weights are negative or not finite"):
        inject(weighted(np.where(late, 1.0, -1.0)), signal, count=0, size=None, draw=0, seed=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sidebands": [[2300, 3400], [3700, 5000]]}, "overlap the signal region"),
        ({"sidebands": [[2300, 3300], [3600, 5000]]}, "overlap the signal region"),
        ({"sidebands": [[2300, 2800], [2900, 3300]]}, "not one on each side"),
        ({"signal": [3700, 3300]}, "low below high"),
    ],
)
def test_windows_that_mean_nothing(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(Regions, {**REGIONS.model_dump(), **changes}, where="test")


def test_a_window_without_events(injected: tuple[SearchProblem, Any, Any]) -> None:
    given, _, _ = injected
    far = Regions(signal=(9000, 9400), sidebands=((8000, 9000), (9400, 9900)))
    with pytest.raises(DataError, match=r"no event in the lower sideband .* move the windows"):
        method("cwola").fit(SearchProblem(given.data, given.test, far, FEATURES), folds=2, seed=1)
    data = given.data.take(REGIONS.beside(given.data.mass))
    with pytest.raises(DataError, match="no event in the signal region"):
        method("cwola").fit(SearchProblem(data, given.test, REGIONS, FEATURES), folds=2, seed=1)


def test_other_bad_input(injected: tuple[SearchProblem, Any, Any]) -> None:
    given, _, _ = injected
    without = SearchProblem(given.data, given.test, REGIONS, FEATURES)
    with pytest.raises(DataError, match="needs the sample `reference`"):
        method("idealised", estimator=TREES).fit(without, folds=2, seed=1)
    no_signal = SearchProblem(given.data, None, REGIONS, FEATURES, given.reference)
    with pytest.raises(DataError, match="needs signal events that are not in the data"):
        method("supervised", estimator=TREES).fit(no_signal, folds=2, seed=1)
    signal = events(resonance_table(10, 5, seed=2), "signal")
    with pytest.raises(DataError, match="6 signal events are asked for, there are 5"):
        inject(given.test, signal, count=6, size=None, draw=0, seed=1)
    with pytest.raises(DataError, match="background events are asked for, there are"):
        inject(given.test, signal, count=0, size=10**6, draw=0, seed=1)
    with pytest.raises(DataError, match="sideband bins hold events"):
        fit_spectrum(np.zeros(len(REGIONS.edges) - 1), REGIONS.edges, bins_beside(REGIONS), 2)
    spec = {**TREES, "observables": ["event_x"]}
    with pytest.raises(ConfigError, match="cathode samples the features"):
        method("cathode", estimator=spec).check(schema(), FEATURES, where="the store")
    with pytest.raises(DataError, match="has no observable 'event_z'"):
        method("anode").check(schema(), ("event_z",), where="the store")


def test_a_model_is_asked_for_both_jets_of_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    table = resonance_table(600, 0, seed=1)
    jets = np.arange(600).reshape(300, 2)
    mass = np.linspace(2300, 4999, 300)
    data = Events(
        (EventRows(table, np.arange(300), table, jets),), np.arange(300)[::-1], mass[::-1], np.ones(300)
    )

    class Said:
        outputs, classes = ("jet_label",), {"jet_label": ("QCD", "other")}

    def said(model: Any, source: Any, *, rows: Any, device: str) -> dict[str, Any]:
        likely = np.exp(-np.asarray(rows, float) / 100)
        return {"jet_label": np.stack([likely, 1 - likely], axis=1)}

    monkeypatch.setattr("hepfm.methods.anomaly.score.Model.load", lambda path: Said)
    monkeypatch.setattr("hepfm.methods.anomaly.score.score", said)
    given = SearchProblem(data, data, REGIONS, FEATURES)
    options = {"model": "x", "head": "jet_label", "device": "cpu"}
    scores = method("score", against=["QCD"], combine="max", **options).fit(given, folds=5, seed=1)
    np.testing.assert_allclose(scores.data, jets.max(axis=1)[::-1] / 100, rtol=1e-5)
    with pytest.raises(ConfigError, match="name those of background"):
        method("score", **options).check(schema(), FEATURES, where="the store")
    with pytest.raises(ConfigError, match="has no class 'QCB'; did you mean 'QCD'"):
        method("score", against=["QCB"], **options).check(schema(), FEATURES, where="the store")


def test_embeddings_far_from_the_sidebands_are_anomalous(monkeypatch: pytest.MonkeyPatch) -> None:
    given, _, truth = problem(150)

    def embedded(model: Any, source: Any, *, rows: Any, device: str) -> Any:
        x = np.stack([source.read([name], rows)[name] for name in FEATURES], axis=1)
        return np.concatenate([x, np.ones((len(x), 1))], axis=1)  # so that lengths are told by directions

    monkeypatch.setattr("hepfm.methods.anomaly.embedding.Model.load", lambda path: None)
    monkeypatch.setattr("hepfm.methods.anomaly.embedding.embed", embedded)
    distance = {"name": "mahalanobis"}
    scores = method("embedding", model="x", distance=distance, device="cpu").fit(given, folds=2, seed=1)
    assert scores.test.shape == (2, len(given.test))
    outside = scores.test.mean(axis=0)
    assert outside[truth].mean() > outside[~truth].mean()
