"""Partitions of tracks against scikit-learn and closed forms; constituents in clusters of jets."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, recall_score
from sklearn.metrics.cluster import pair_confusion_matrix

from hepfm.core.errors import DataError
from hepfm.core.ragged import Ragged
from hepfm.metrics.constituents import (
    ConstituentPredictions,
    balanced_accuracy,
    constituent_accuracy,
    constituent_auc,
    measured_on_jets,
)
from hepfm.metrics.partitions import (
    PairCounts,
    adjusted_rand_of_several_statistic,
    adjusted_rand_statistic,
    pair_efficiency_statistic,
    pair_purity_statistic,
)

STATISTICS = (
    adjusted_rand_statistic,
    adjusted_rand_of_several_statistic,
    pair_efficiency_statistic,
    pair_purity_statistic,
)


def partitions(rows: int = 60) -> tuple[Ragged, Ragged]:
    """Rows of 0 to 9 tracks in up to 4 vertices, and partitions that share some of them."""
    rng = np.random.default_rng(5)
    lengths = rng.integers(0, 10, rows)
    truth = rng.integers(0, 4, lengths.sum())
    found = np.where(rng.random(len(truth)) < 0.6, truth + 7, rng.integers(0, 3, len(truth)))
    return Ragged.from_lengths(truth, lengths), Ragged.from_lengths(found, lengths)


def test_counts_and_index_are_those_of_scikit_learn() -> None:
    truth, found = partitions()
    counts = PairCounts.of(truth, found)
    for row in range(len(truth)):
        if len(truth.row(row)) < 2:
            assert np.isnan(counts.adjusted_rand[row])
            continue
        index = adjusted_rand_score(truth.row(row), found.row(row))
        assert counts.adjusted_rand[row] == pytest.approx(index, abs=1e-12)
        matrix = pair_confusion_matrix(truth.row(row), found.row(row)) // 2
        assert [counts.both[row], counts.true[row], counts.found[row], counts.pairs[row]] == [
            *(matrix[1, 1], matrix[1].sum(), matrix[:, 1].sum(), matrix.sum())
        ]


def test_names_and_order_of_vertices_do_not_matter_and_both_sides_are_alike() -> None:
    truth, found = partitions()
    counts = PairCounts.of(truth, found)
    renamed = PairCounts.of(truth.with_values(9 - truth.values), found.with_values(5 * found.values))
    assert np.array_equal(counts.both, renamed.both)
    turned = PairCounts.of(found, truth)
    np.testing.assert_allclose(counts.adjusted_rand, turned.adjusted_rand)
    ones = np.ones(len(truth))
    assert pair_efficiency_statistic(counts)(ones) == pair_purity_statistic(turned)(ones)


def test_the_truth_scores_one_and_the_trivial_answers_zero_where_vertices_differ() -> None:
    truth, _ = partitions()
    ones = np.ones(len(truth))
    perfect = PairCounts.of(truth, truth)
    assert [statistic(perfect)(ones) for statistic in STATISTICS] == [1.0] * 4
    together = PairCounts.of(truth, truth.with_values(np.zeros_like(truth.values)))
    assert adjusted_rand_of_several_statistic(together)(ones) == 0.0
    assert pair_efficiency_statistic(together)(ones) == 1.0
    alone = PairCounts.of(truth, truth.with_values(np.arange(len(truth.values))))
    assert pair_efficiency_statistic(alone)(ones) == 0.0
    assert np.isnan(pair_purity_statistic(alone)(ones))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_weight_of_two_is_the_jet_twice(statistic: object) -> None:
    counts = PairCounts.of(*partitions())
    weights = np.random.default_rng(2).integers(0, 3, len(counts.pairs))
    repeated = counts.take(np.repeat(np.arange(len(weights)), weights))
    value = statistic(counts)(weights.astype(float))  # type: ignore[operator]
    again = statistic(repeated)(np.ones(int(weights.sum())))  # type: ignore[operator]
    assert value == pytest.approx(again)


def test_partitions_of_other_tracks_are_refused() -> None:
    truth, found = partitions()
    with pytest.raises(DataError, match="other tracks"):
        PairCounts.of(truth, found.take(np.arange(len(found))[::-1]))


def predictions(rows: int = 50, copies: int = 1) -> ConstituentPredictions:
    """Constituents of four classes, the last of which never occurs; each comes `copies` times in its jet."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 6, rows)
    labels = rng.integers(0, 3, lengths.sum())
    p = rng.dirichlet(np.ones(4), len(labels)) + 0.3 * np.eye(4)[labels]
    index = np.repeat(np.arange(len(labels)), copies)
    return ConstituentPredictions(
        Ragged.from_lengths(labels[index], copies * lengths),
        Ragged.from_lengths((p / p.sum(1, keepdims=True))[index], copies * lengths),
        ("a", "b", "c", "absent"),
    )


def test_balanced_accuracy_is_that_of_scikit_learn_over_classes_that_occur() -> None:
    given = predictions()
    called = given.probabilities.values.argmax(1)
    expected = recall_score(given.labels.values, called, labels=[0, 1, 2], average="macro")
    assert balanced_accuracy(given)(given.row_weights) == pytest.approx(expected)
    assert np.isnan(constituent_auc(given, name="absent")(given.row_weights))


@pytest.mark.parametrize("statistic", [constituent_accuracy, balanced_accuracy])
def test_constituents_that_say_the_same_make_no_interval_narrower(statistic: object) -> None:
    """Four copies of each constituent in its jet tell nothing new: value and interval stay."""
    once, often = (
        measured_on_jets(statistic(given), given, definition="x")  # type: ignore[operator]
        for given in (predictions(), predictions(copies=4))
    )
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))
    assert once.n == often.n == 50
