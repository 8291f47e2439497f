"""The task of weak supervision: what it opens with, what stands beside it, and that nothing gives nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepfm.core.errors import ConfigError, DataError
from hepfm.data.mixtures import mix
from hepfm.data.store import Store
from hepfm.tasks.base import load_task
from hepfm.tasks.evaluate import measure

SIDES = {"signal": "Tbqq", "background": "QCD"}


class Scores:
    """Scores of rows by some function of their true class."""

    classes = ("pure", "mixed")
    fingerprint = "test"
    training: dict[str, Any] = {"arm": "test"}  # noqa: RUF012

    def __init__(self, score: Any) -> None:
        self._score = score

    def score(self, store: Store, rows: Any) -> Any:
        truth = store.read(["jet_label"], rows)["jet_label"]
        signal = np.asarray(truth) == store.schema["jet_label"].classes.index("Tbqq")
        mixed = self._score(signal)
        return np.stack([1 - mixed, mixed], axis=1)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, jet_store: Store) -> Store:
    """A store without any signal in its samples; its test rows have some."""
    return Store.open(mix(jet_store, tmp_path_factory.mktemp("mixed") / "store", **SIDES, count=0))


def values(store: Store, scores: Any, folder: Path, **options: Any) -> dict[str, float]:
    task = load_task({"name": "weak_supervision", **options})
    done = measure(Scores(scores), task, store, output=folder / "result")
    return {metric.name: metric.value for metric in done.result.metrics if metric.value is not None}


def test_a_store_without_signal_can_be_made_and_is_told_by_true_classes(mixed: Store, tmp_path: Path) -> None:
    for split in ("train", "val"):
        columns = mixed.read(["jet_label", "sample"], mixed.split(split))
        assert set(columns["jet_label"].tolist()) == {mixed.schema["jet_label"].classes.index("QCD")}
        assert set(columns["sample"].tolist()) == {0, 1}
    perfect = values(mixed, lambda signal: signal.astype(float), tmp_path, background_efficiencies=[0.04])
    assert perfect == {"significance_improvement_4": pytest.approx(5.0), "auc": 1.0}


def test_random_scores_give_on_average_what_the_trivial_answer_says(mixed: Store, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    found = [
        values(mixed, lambda signal: rng.random(len(signal)), tmp_path, background_efficiencies=[0.25])
        for _ in range(40)
    ]
    improvements = np.array([one["significance_improvement_25"] for one in found])
    error = improvements.std(ddof=1) / len(improvements) ** 0.5
    done = measure(
        Scores(lambda signal: rng.random(len(signal))),
        load_task({"name": "weak_supervision", "background_efficiencies": [0.25]}),
        mixed,
        output=tmp_path / "once",
    )
    (random,) = done.result.baselines
    expected = random.metric("significance_improvement_25")
    assert random.name == "random"
    assert expected is not None
    assert expected.value == 0.5
    # The threshold is conservative: on average a little less than eps_B of the background passes.
    rows = done.result.data.rows_per_class["pure"]
    assert abs(improvements.mean() - 0.5) < 4 * error + 1 / (rows * 0.5)


def test_a_report_opens_with_the_first_improvement() -> None:
    task = load_task({"name": "weak_supervision", "background_efficiencies": [0.005, 0.1]})
    assert task.primary == "significance_improvement_0.5"
    assert [metric.name for metric in task.metrics()] == [
        "significance_improvement_0.5",
        "significance_improvement_10",
        "auc",
    ]
    assert all(metric.scale == "difference" for metric in task.metrics())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"background_efficiencies": []}, ConfigError, "background_efficiencies"),
        ({"background_efficiencies": [1.5]}, ConfigError, "less than 1"),
        ({"signal": ["mixed", "pure"], "background": []}, ConfigError, "compares two samples"),
        ({"signal": "Tbqq", "background": "QCD", "field": "jet_labl"}, DataError, "no field 'jet_labl'"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    options: dict[str, Any], error: type[Exception], message: str, mixed: Store
) -> None:
    with pytest.raises(error, match=message):
        load_task({"name": "weak_supervision", **options}).bind(mixed.schema, where="the store")


def test_a_store_that_nobody_mixed_is_refused(jet_store: Store) -> None:
    with pytest.raises(DataError, match="has no field 'sample'"):
        load_task("weak_supervision").bind(jet_store.schema, where="the store")
