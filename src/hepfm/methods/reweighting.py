"""One sample weighted to resemble another: learned in folds, so that every row is judged by what did not see
it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pydantic

from hepfm.core.config import Config
from hepfm.core.errors import DivergedError
from hepfm.core.rng import integer_seed
from hepfm.methods.binning import Binning, histograms
from hepfm.methods.observables import Values, read_observables
from hepfm.methods.overlap import check_overlap
from hepfm.methods.ratio.base import Floats, RatioEstimator, TwoWeights
from hepfm.methods.ratio.cross_fit import cross_fit
from hepfm.methods.ratio.trees import Trees, TreesConfig
from hepfm.methods.samples import WeightedSample, events_of, poisson_weights
from hepfm.methods.weight_summary import WeightSummary

CALIBRATION_BINS = 15


class ReweightOptions(Config):
    """Options of `reweight`.

    Attributes
    ----------
    folds
        Parts of the rows; the ratio of each is learned from the others.
    normalisation
        What the weights add up to: those of the ``target``, or what they added up to before (``source``).
    largest_ratio
        Ratios are cut at this and at its inverse; None for no cut. What is cut is counted.
    """

    folds: int = pydantic.Field(2, ge=2)
    normalisation: Literal["target", "source"] = "target"
    largest_ratio: float | None = pydantic.Field(100.0, gt=1)


@dataclass(frozen=True)
class Reweighting:
    """Weights of the source's rows.

    Attributes
    ----------
    source, target
        The samples.
    weights
        New weights of the source's rows.
    log_ratio
        Of the rows of the target, then of the source, before any cut.
    facts
        JSON-ready.
    """

    source: WeightedSample
    target: WeightedSample
    weights: Floats
    log_ratio: Floats
    facts: Mapping[str, Any]


def drawn(source: WeightedSample, target: WeightedSample, seed: int) -> tuple[WeightedSample, WeightedSample]:
    """Return a bootstrap replica of both samples, drawn event by event."""
    made = [
        replace(
            part, weights=part.weights * poisson_weights(events_of(part), seed, "reweight.bootstrap", number)
        )
        for number, part in enumerate((source, target))
    ]
    return made[0], made[1]


def reweight(
    source: WeightedSample,
    target: WeightedSample,
    estimator: RatioEstimator[Any],
    options: ReweightOptions,
    *,
    binning: Binning,
    seed: int,
) -> Reweighting:
    """Learn weights with which `source` resembles `target`.

    Parameters
    ----------
    source, target
        The samples.
    estimator
        What learns the ratio.
    options
        Folds, normalisation and cut.
    binning
        Observables in which the samples have to overlap.
    seed
        Of folds and trainings.

    Raises
    ------
    DataError
        When an observable shows that the samples are disjoint, or weights add up to nothing.
    DivergedError
        When ratios are no numbers.
    """
    names = tuple(binning)
    read = [read_observables(part.source, part.rows, names) for part in (source, target)]
    check_overlap(names, read[0], read[1], target.weights, what="the sample and its target")
    x = estimator.join([estimator.read(part.source, part.rows) for part in (target, source)])
    pair = TwoWeights.stacked(target.weights, source.weights)
    logs, trainings = cross_fit(estimator, x, pair, _events(target, source), folds=options.folds, seed=seed)
    bad = int((~np.isfinite(logs)).sum())
    if bad:
        raise DivergedError(f"{bad} of {len(logs)} ratios are no numbers; lower the learning rate")
    limit = np.log(options.largest_ratio) if options.largest_ratio else np.inf
    own = logs[len(target.rows) :]
    ratio = np.exp(np.clip(own, -limit, limit))
    total = target.weights.sum() if options.normalisation == "target" else source.weights.sum()
    weights = source.weights * ratio
    weights = weights * (total / weights.sum())
    facts = {
        "trainings": [dict(one) for one in trainings],
        "cut": int((np.abs(own) > limit).sum()),
        "rows": {"source": len(source.rows), "target": len(target.rows)},
        "weights": WeightSummary.of(weights).to_dict(),
    }
    return Reweighting(source, target, weights, logs, facts)


def _events(target: WeightedSample, source: WeightedSample) -> Any:
    """Return what rows belong to; numbers of one store's events are the same events in another selection of
    it."""
    same = target.source.fingerprint == source.source.fingerprint
    first, second = events_of(target), events_of(source)
    return np.concatenate([2 * first, 2 * second + (0 if same else 1)])


def closure(result: Reweighting, binning: Binning, *, seed: int) -> dict[str, Any]:
    """Return what shows whether the reweighting closes, JSON-ready.

    Keys: histograms ``target``, ``before``, ``after`` by observable; ``auc``, of boosted trees on all
    observables that tell target and source apart, before and after; ``calibration``, see `calibration`.
    """
    names = tuple(binning)
    source, target = (
        read_observables(part.source, part.rows, names) for part in (result.source, result.target)
    )
    return {
        "target": histograms(target, binning, result.target.weights),
        "before": histograms(source, binning, result.source.weights),
        "after": histograms(source, binning, result.weights),
        "auc": {
            "before": separation(result, target, source, result.source.weights, seed=seed),
            "after": separation(result, target, source, result.weights, seed=seed),
        },
        "calibration": calibration(result),
    }


def separation(result: Reweighting, target: Values, source: Values, weights: Floats, *, seed: int) -> float:
    """Return the AUC of trees, trained in two folds, that tell weighted source and target apart; 0.5 is
    ideal."""
    from sklearn.metrics import roc_auc_score  # late: seconds that other verbs need not wait for

    names = tuple(str(place) for place in range(target.shape[1]))
    trees = Trees(TreesConfig.model_validate({"observables": names}))
    keep = weights > 0  # trees take no others
    x = np.concatenate([target, source[keep]])
    pair = TwoWeights.stacked(np.maximum(result.target.weights, 0.0), weights[keep])
    events = _events(result.target, result.source)
    chosen = np.concatenate([np.ones(len(target), bool), keep])
    logs, _ = cross_fit(
        trees, x, pair, events[chosen], folds=2, seed=integer_seed(seed, "reweight.auc", bits=31)
    )
    truth = np.repeat([1, 0], [len(target), int(keep.sum())])
    return float(roc_auc_score(truth, logs, sample_weight=sum(pair.balanced())))


def calibration(result: Reweighting) -> list[dict[str, float]]:
    """Return, in bins of the predicted probability to be of the target, what share of the weight is of it.

    Both samples count alike in all; bins hold equally many rows.
    """
    pair = TwoWeights.stacked(result.target.weights, result.source.weights)
    numerator, denominator = pair.balanced()
    predicted = 1 / (1 + np.exp(-result.log_ratio))
    rows = []
    for places in np.array_split(np.argsort(predicted, kind="stable"), CALIBRATION_BINS):
        total = float((numerator + denominator)[places].sum())
        if total > 0:
            rows.append(
                {
                    "predicted": float(((numerator + denominator) * predicted)[places].sum() / total),
                    "found": float(numerator[places].sum() / total),
                    "rows": float(len(places)),
                }
            )
    return rows
