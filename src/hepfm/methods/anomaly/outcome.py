"""What one search found, measured with the truth of its test events: JSON-ready, for a file of its run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from hepfm.core.errors import DataError
from hepfm.methods.anomaly.base import Scores, SearchProblem
from hepfm.methods.anomaly.hunt import HuntConfig, hunt, pseudo_seed
from hepfm.methods.anomaly.regions import Mask
from hepfm.methods.ratio.base import Floats
from hepfm.metrics.improvement_curve import improvement_curve
from hepfm.metrics.sculpting import sculpting

GRID = np.logspace(0, -4, 41)
"""Background efficiencies at which curves are kept, from 1 to 1e-4."""


def outcome(
    problem: SearchProblem,
    scores: Scores,
    injected: Mask,
    test_signal: Mask,
    *,
    efficiencies: Sequence[float],
    least: int,
    config: HuntConfig,
    seed: int,
) -> dict[str, Any]:
    """Measure a search.

    Parameters
    ----------
    problem, scores
        What was given, and what came out.
    injected, test_signal
        Which events of the data, (R,), and of the test, (T,), are signal.
    efficiencies
        Parts of the data that cuts keep.
    least
        Fewest background events of the improvement; see `hepfm.metrics.improvement_curve`.
    config
        Of bump hunt and limit.
    seed
        Of pseudo-experiments.
    """
    inside = problem.regions.inside(problem.data.mass)
    return {
        "events": {
            "data": len(problem.data),
            "region": int(inside.sum()),
            "injected": int(injected.sum()),
            "injected_region": int((inside & injected).sum()),
        },
        **_improvement(problem, scores, test_signal, least),
        "edges": problem.regions.edges.tolist(),
        "cuts": [
            _cut(problem, scores, injected, test_signal, one, config, pseudo_seed(seed, place))
            for place, one in enumerate(efficiencies)
        ],
    }


def _improvement(problem: SearchProblem, scores: Scores, signal: Mask, least: int) -> dict[str, Any]:
    """Return curve and maximum in the signal region; the test's score is the mean over folds."""
    inside = problem.regions.inside(problem.test.mass)
    score = scores.test.mean(axis=0)
    curve = improvement_curve(score[inside], signal[inside], problem.test.weights[inside], least=least)
    efficiency = curve.at_background(GRID)
    best = curve.best()
    return {
        "curve": [None if np.isnan(value) else float(value) for value in efficiency],
        "best": None
        if best is None
        else dict(zip(("improvement", "signal", "background", "passed"), best, strict=True)),
        "test": {"signal": int(signal[inside].sum()), "background": int((~signal[inside]).sum())},
    }


def _cut(
    problem: SearchProblem,
    scores: Scores,
    injected: Mask,
    test_signal: Mask,
    efficiency: float,
    config: HuntConfig,
    seed: int,
) -> dict[str, Any]:
    """Return what is left after a cut that keeps a part of the data: spectrum, bump, limit, sculpting."""
    regions, edges = problem.regions, problem.regions.edges
    kept = scores.rank > 1 - efficiency + 1e-12
    passed = _test_passes(scores, kept)
    mass, weights = problem.test.mass, problem.test.weights
    inside = regions.inside(mass)
    signal_weight, background_weight = weights[test_signal].sum(), weights[~test_signal].sum()
    signal_efficiency = float((weights * passed)[test_signal & inside].sum() / signal_weight)
    counts = np.histogram(problem.data.mass[kept], edges)[0]
    background = ~test_signal
    score = scores.test.mean(axis=0)
    # A cut on the background alone, whose spectra before and after are compared: random where scores tie.
    order = np.lexsort((np.random.default_rng(seed).random(int(background.sum())), score[background]))
    above = np.zeros(len(order), bool)
    above[order[len(order) - max(1, round(efficiency * len(order))) :]] = True
    shape = sculpting(mass[background], above, edges)
    found: dict[str, Any] = {
        "efficiency": efficiency,
        "counts": counts.tolist(),
        "kept": int(kept.sum()),
        "injected_kept": int((kept & injected & regions.inside(problem.data.mass)).sum()),
        "signal_efficiency": signal_efficiency,
        "background_efficiency": float((weights * passed)[background].sum() / background_weight),
        "sculpting": None if shape is None else asdict(shape),
        "background_all": np.histogram(mass[background], edges)[0].tolist(),
        "background_kept": np.histogram(mass[background][above], edges)[0].tolist(),
    }
    try:
        bump = hunt(counts, regions, config, signal_efficiency=signal_efficiency, seed=seed)
    except DataError as error:  # a tight cut may leave nothing to fit: the page says so
        return {**found, "hunt": None, "problem": str(error)}
    values = {key: getattr(bump, key) for key in ("observed", "expected", "error", "p_region", "p_global")}
    values |= {"bump": bump.bump, "limit": bump.limit, "fit": bump.spectrum.expected.tolist()}
    values["fit_error"] = np.sqrt(np.diag(bump.spectrum.covariance)).tolist()
    return {**found, "hunt": values, "problem": None}


def _test_passes(scores: Scores, kept: npt.NDArray[np.bool_]) -> Floats:
    """Return the part of the folds whose cut each test event passes, (T,): each has its own threshold."""
    parts = []
    for number, test in enumerate(scores.test):
        held = scores.fold == number
        passing = scores.data[held & kept]
        parts.append(test >= passing.min() if len(passing) else np.zeros(len(test), bool))
    return np.asarray(np.mean(parts, axis=0))
