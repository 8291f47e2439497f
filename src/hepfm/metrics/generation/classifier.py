"""The classifier test: how well boosted trees distinguish a sample from the reference.

``classifier_auc.hgb.v1``: scikit-learn's HistGradientBoostingClassifier (100 trees, learning rate 0.1, 31
leaves, no early stopping) sees, for each jet, the observables of `hepfm.metrics.generation.observables`, the
logarithms of the 21 connected energy flow polynomials of up to four edges, and (eta_rel, phi_rel, pt_rel) of
the five hardest constituents; what a jet does not have is missing. Half of the jets of either sample train,
the other half are scored. The value is the mean area under the ROC curve over three seeds of split and
training; 0.5 is ideal, and below 0.5 means chance. The interval is a bootstrap of the held-out jets with the
trainings as they are; it lies within [0, 1].
"""

from __future__ import annotations

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.rng import integer_seed, numpy_generator
from hepfm.metrics.auc import binary_auc_statistic
from hepfm.metrics.bootstrap import RESAMPLES, Statistic, bootstrap_values, percentile_interval
from hepfm.metrics.generation.observables import Observed
from hepfm.metrics.intervals import clopper_pearson
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray, IntArray, Predictions

DEFINITION = "classifier_auc.hgb.v1"
SEEDS = 3
MIN_JETS = 50
_LEADING = 5


def classifier_auc(reference: Observed, other: Observed, *, seed: int = 0) -> Measurement:
    """Measure the area under the ROC curve of `reference` against `other` on jets not trained on.

    Raises
    ------
    DataError
        When a sample has fewer than 50 jets.
    """
    return classifier_of(
        classifier_features(reference), classifier_features(other), seed=seed, definition=DEFINITION
    )


def classifier_of(reference: FloatArray, other: FloatArray, *, definition: str, seed: int = 0) -> Measurement:
    """Measure the same with given features, shapes (n, F) and (m, F); NaN where a row lacks one."""
    smaller = min(len(reference), len(other))
    if smaller < MIN_JETS:
        raise DataError(
            f"the classifier test needs {MIN_JETS} rows of each sample, one has {smaller}; add some"
        )
    areas = [_area(reference, other, seed, repeat) for repeat in range(SEEDS)]
    statistic = _mean_of(areas)
    rows = len(reference) + len(other)
    draws = bootstrap_values([statistic], np.ones(rows), resamples=RESAMPLES, seed=seed)[:, 0]
    low, high = _within_reach(*percentile_interval(draws), smaller // 2)
    interval = f"bootstrap 68% of held-out rows ({RESAMPLES}), {SEEDS} trainings as they are"
    return Measurement(statistic(np.ones(rows)), low, high, smaller, definition, interval)


def classifier_features(sample: Observed) -> FloatArray:
    """Return what the classifier sees, shape (J, 43); NaN where a jet lacks it."""
    leading = sample.jets.padded(_LEADING)
    present = np.arange(_LEADING) < sample.jets.lengths[:, None]
    leading = np.where(present[..., None], leading, np.nan).reshape(len(sample), -1)
    polynomials = np.stack(list(sample.connected.values()), axis=1)
    logs = np.log(np.where(polynomials > 0, polynomials, np.nan))
    return np.concatenate([np.stack(list(sample.values.values()), axis=1), logs, leading], axis=1)


def _area(reference: FloatArray, other: FloatArray, seed: int, repeat: int) -> Statistic:
    """Train on half of the rows; return the area on the rest as a function of the weights of all rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # seconds that other verbs need not wait for

    rng = numpy_generator(seed, "metrics.classifier", repeat)
    features = np.concatenate([reference, other])
    first, second = _halves(rng, len(reference)), _halves(rng, len(other))
    train, test = (np.concatenate([first[k], len(reference) + second[k]]) for k in (0, 1))
    real = np.arange(len(features)) < len(reference)
    trees = HistGradientBoostingClassifier(
        early_stopping=False,
        random_state=integer_seed(seed, "metrics.classifier.trees", repeat, bits=31),
    ).fit(features[train], real[train])
    score = trees.predict_proba(features[test])
    predictions = Predictions((~real[test]).astype(np.int64), score[:, ::-1].copy(), ("real", "other"))
    area = binary_auc_statistic(predictions, signal="real", background="other")
    return lambda weights: area(weights[test])


def _halves(rng: np.random.Generator, rows: int) -> tuple[IntArray, IntArray]:
    order = rng.permutation(rows)
    return order[: rows // 2], order[rows // 2 :]


def _mean_of(statistics: list[Statistic]) -> Statistic:
    return lambda weights: float(np.mean([statistic(weights) for statistic in statistics]))


def _within_reach(low: float, high: float, rows: int) -> tuple[float, float]:
    """Widen an interval of no width: some rows, all classified alike, say little of all others."""
    if low < high:
        return low, high
    edge = clopper_pearson(rows, rows)[0]
    return min(low, edge), max(high, 1 - edge)
