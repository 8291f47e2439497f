"""The estimator `network` on events of two jets: what it learns, sums, keeps apart, and refuses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parents[1]))
from jet_pairs import pair_schema, pair_table
from ratio_toys import TINY
from resonance_events import MASS, REGIONS
from resonance_events import schema as of_events

from hepfm.core.config import resolve_component
from hepfm.core.errors import HepfmError
from hepfm.data.schemas.dijets import feature_schema
from hepfm.data.table import Table
from hepfm.methods.anomaly import ANOMALY_METHODS
from hepfm.methods.anomaly.base import AnomalyMethod, SearchProblem, Sizes
from hepfm.methods.anomaly.events import Events
from hepfm.methods.anomaly.injection import inject
from hepfm.methods.ratio.base import RatioEstimator, TwoWeights
from hepfm.methods.ratio.source_rows import SourceRows, write_training_store
from hepfm.methods.samples import SampleConfig, WeightedSample
from hepfm.train.budget import budget_rows
from hepfm.train.recipe import FinetuneDataConfig

NETWORK = {
    "name": "network",
    "backbone": TINY,
    "features": "kin",
    "train": {
        "steps": 40,
        "batch_size": 64,
        "validate_every": 20,
        "optimizer": {"name": "adamw", "lr": 1e-2},
        "device": "cpu",
    },
}
FEATURES = ("dijet_lighter_mass",)


def method(name: str, **options: Any) -> AnomalyMethod[Any]:
    spec = {"name": name, "estimator": {**NETWORK, **options}}
    component = resolve_component(ANOMALY_METHODS, spec, where="test")
    made: AnomalyMethod[Any] = component.cls(component.config)
    return made


def network(**options: Any) -> RatioEstimator[Any]:
    return method("cwola", **options).estimator(FEATURES)  # type: ignore[attr-defined, no-any-return]


def events(table: Table, kind: str) -> Events:
    sample = WeightedSample.of(table, SampleConfig(store="toy", only=("jet_label", kind)))
    return Events.of(sample, MASS)


def pairs(events: int) -> np.ndarray[Any, Any]:
    return np.arange(2 * events).reshape(2, events).T


def test_an_event_is_the_sum_of_its_jets() -> None:
    table, estimator = pair_table(40, 40, seed=1), network(train={**NETWORK["train"], "steps": 4})  # type: ignore[dict-item]
    x = estimator.read(table, pairs(80))
    weights = TwoWeights.stacked(np.ones(40), np.ones(40))
    ratio = estimator.fit(x, weights, seed=1)
    single = ratio.log_ratio(estimator.read(table, np.arange(160)))
    np.testing.assert_allclose(ratio.log_ratio(x), single[:80] + single[80:], rtol=1e-4, atol=1e-5)
    some = np.array([7, 2, 50])
    np.testing.assert_allclose(
        ratio.log_ratio(estimator.take(x, some)), ratio.log_ratio(x)[some], rtol=1e-4, atol=1e-5
    )


def test_both_jets_have_the_weights_of_the_event_and_are_in_one_part(tmp_path: Path) -> None:
    x = SourceRows.of(pair_table(30, 0, seed=1), pairs(30)[::-1])
    weights = TwoWeights(np.arange(30.0), np.r_[np.ones(20), np.zeros(10)])
    store = write_training_store(tmp_path / "store", x, weights, ["jet_pt"])
    columns = store.read(store.schema.names())
    expected = np.repeat(np.arange(30.0) / np.arange(30.0).sum() * 15, 2)
    np.testing.assert_allclose(columns["ratio_numerator"], expected)
    row = np.asarray(x.sources[0].read(["jet_pt"], x.row_RP.ravel())["jet_pt"])
    np.testing.assert_array_equal(columns["jet_pt"], row)
    data = FinetuneDataConfig(store="", validation_fraction=0.2)
    parts = budget_rows(store, data, targets=("ratio_numerator", "ratio_denominator"), seed=1)
    event = np.asarray(columns["ratio_event"])
    train, validation = (set(event[part].tolist()) for part in parts)
    assert not train & validation
    assert (len(train), len(validation)) == (24, 6)
    assert sum(map(len, parts)) == 60


def test_budgets_of_whole_groups_are_nested(tmp_path: Path) -> None:
    x = SourceRows.of(pair_table(50, 0, seed=1), pairs(50))
    store = write_training_store(tmp_path / "s", x, TwoWeights(np.ones(50), np.ones(50)), ["jet_pt"])
    smaller: tuple[set[int], set[int]] = (set(), set())
    for budget in (30, 60, 100):
        data = FinetuneDataConfig(store="", budget=budget, validation_fraction=0.25)
        train, validation = (
            set(part.tolist()) for part in budget_rows(store, data, targets=("ratio_numerator",), seed=3)
        )
        assert smaller[0] <= train
        assert smaller[1] <= validation
        smaller = (train, validation)


@pytest.mark.parametrize("name", ["cwola", "idealised", "supervised"])
def test_signal_is_found_from_the_constituents_of_both_jets(name: str) -> None:
    pool, test, known = (
        pair_table(*sizes, seed=seed) for seed, sizes in enumerate([(500, 240), (150, 90), (300, 0)])
    )
    drawn = inject(events(pool, "background"), events(pool, "signal"), count=120, size=None, draw=0, seed=1)
    tests = [events(test, kind) for kind in ("background", "signal")]
    truth = np.repeat([False, True], [len(one) for one in tests])
    given = SearchProblem(
        drawn.events, Events.joined(tests), REGIONS, FEATURES, events(known, "background"), drawn.left
    )
    chosen = method(name)
    chosen.check(pool.schema, FEATURES, where="the store")
    scores = chosen.fit(given, folds=2, seed=1).test.mean(axis=0)
    auc = roc_auc_score(truth, scores)
    assert auc > 0.85
    chance = roc_auc_score(truth, np.random.default_rng(1).permutation(scores))
    assert abs(chance - 0.5) < 0.12


def test_work_of_a_network_is_that_of_its_steps() -> None:
    small, large = (Sizes(data, 0, 0, 2, 2) for data in (100, 10_000))
    cwola = method("cwola")
    assert cwola.work(large) < 3 * cwola.work(small)  # not a hundred times: the steps are the same
    longer = method("cwola", train={**NETWORK["train"], "steps": 400})  # type: ignore[dict-item]
    assert longer.work(small) == pytest.approx(10 * cwola.work(small), rel=0.1)
    tested = Sizes(100, 0, 3000, 2, 2)
    assert cwola.work(tested) - cwola.work(small) == pytest.approx(2 * 2 * 3000 / 3)  # both jets, both folds


def test_events_without_constituents_are_refused() -> None:
    for schema in (of_events(), feature_schema(("background", "signal"))):
        with pytest.raises(HepfmError, match=r"part_pt|constituent"):
            method("cwola").check(schema, FEATURES, where="the store")
    method("cwola").check(pair_schema(), FEATURES, where="the store")
