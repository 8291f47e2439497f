"""The classifier test: how well boosted trees tell a sample from the reference.

``classifier_auc.hgb.v1``: scikit-learn's HistGradientBoostingClassifier (100 trees, learning rate 0.1, 31
leaves, no early stopping) sees, for each jet, the observables of `hepfm.metrics.generation.observables`, the
logarithms of the 21 connected energy flow polynomials of up to four edges, and (eta_rel, phi_rel, pt_rel) of
the five hardest constituents; what a jet does not have is missing. Half of the jets of either sample train,
the other half are scored. The value is the mean area under the ROC curve over three seeds of split and
training; 0.5 is ideal, and below 0.5 means chance.
"""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from hepfm.core.errors import DataError
from hepfm.core.rng import integer_seed, numpy_generator
from hepfm.metrics.generation.observables import Observed
from hepfm.metrics.measurement import Measurement
from hepfm.metrics.predictions import FloatArray

DEFINITION = "classifier_auc.hgb.v1"
SEEDS = 3
LEAST_JETS = 50
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
    least = min(len(reference), len(other))
    if least < LEAST_JETS:
        raise DataError(
            f"the classifier test needs {LEAST_JETS} rows of each sample, one has {least}; add some"
        )
    areas = np.array([_area(reference, other, seed, repeat) for repeat in range(SEEDS)])
    mean, std = float(areas.mean()), float(areas.std(ddof=1))
    interval = f"standard deviation over {SEEDS} splits and trainings"
    return Measurement(mean, mean - std, mean + std, least, definition, interval)


def classifier_features(sample: Observed) -> FloatArray:
    """Return what the classifier sees, shape (J, 43); NaN where a jet lacks it."""
    leading = sample.jets.padded(_LEADING)
    present = np.arange(_LEADING) < sample.jets.lengths[:, None]
    leading = np.where(present[..., None], leading, np.nan).reshape(len(sample), -1)
    polynomials = np.stack(list(sample.connected.values()), axis=1)
    logs = np.log(np.where(polynomials > 0, polynomials, np.nan))
    return np.concatenate([np.stack(list(sample.values.values()), axis=1), logs, leading], axis=1)


def _area(reference: FloatArray, other: FloatArray, seed: int, repeat: int) -> float:
    rng = numpy_generator(seed, "metrics.classifier", repeat)
    halves = [_halves(rng, features) for features in (reference, other)]
    train, test = (np.concatenate([half[k] for half in halves]) for k in (0, 1))
    labels = [np.repeat([1, 0], [len(halves[0][k]), len(halves[1][k])]) for k in (0, 1)]
    trees = HistGradientBoostingClassifier(
        early_stopping=False,
        random_state=integer_seed(seed, "metrics.classifier.trees", repeat, bits=31),
    ).fit(train, labels[0])
    return float(roc_auc_score(labels[1], trees.predict_proba(test)[:, 1]))


def _halves(rng: np.random.Generator, features: FloatArray) -> tuple[FloatArray, FloatArray]:
    order = rng.permutation(len(features))
    middle = len(order) // 2
    return features[order[:middle]], features[order[middle:]]
