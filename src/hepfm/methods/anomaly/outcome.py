"""What one search found, measured with the truth of its test events where it is known: JSON-ready."""

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
    injected: Mask | None,
    test_signal: Mask,
    *,
    efficiencies: Sequence[float],
    least: int,
    config: HuntConfig,
    seed: int,
) -> dict[str, Any]:
    """Measure a search; what needs a truth that is not known is None.

    Parameters
    ----------
    problem, scores
        What was given, and what came out.
    injected
        Which events of the data are signal, (R,); None where that is not known.
    test_signal
        Which test events are signal, (T,).
    efficiencies
        Parts of the data that cuts keep; 1 for no cut.
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
            "injected": None if injected is None else int(injected.sum()),
            "injected_region": None if injected is None else int((inside & injected).sum()),
        },
        **_improvement(problem, scores, test_signal, least),
        "edges": problem.regions.edges.tolist(),
        "cuts": [
            _cut(problem, scores, injected, test_signal, one, config, pseudo_seed(seed, place))
            for place, one in enumerate(efficiencies)
        ],
    }


def kept_by(rank: Floats, efficiency: float) -> Mask:
    """Return which events of the data a cut keeps, by their ranks in their own folds."""
    return np.asarray(rank > 1 - efficiency + 1e-12)


def _improvement(problem: SearchProblem, scores: Scores, signal: Mask, least: int) -> dict[str, Any]:
    """Return curve and maximum in the signal region; the test's score is the mean over folds."""
    if problem.test is None or not signal.any() or signal.all():
        return {"curve": None, "best": None, "test": _tested(problem, signal)}
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
        "test": _tested(problem, signal),
    }


def _tested(problem: SearchProblem, signal: Mask) -> dict[str, int]:
    """Return the numbers of test events of both kinds in the signal region."""
    mass = np.zeros(0) if problem.test is None else problem.test.mass
    inside = problem.regions.inside(mass)
    return {"signal": int(signal[inside].sum()), "background": int((~signal[inside]).sum())}


def _cut(
    problem: SearchProblem,
    scores: Scores,
    injected: Mask | None,
    test_signal: Mask,
    efficiency: float,
    config: HuntConfig,
    seed: int,
) -> dict[str, Any]:
    """Return what is left after a cut that keeps a part of the data: spectrum, bump, limit, sculpting."""
    regions = problem.regions
    kept = kept_by(scores.rank, efficiency)
    counts = np.histogram(problem.data.mass[kept], regions.edges)[0]
    of_test = _test_efficiencies(problem, test_signal, _test_passes(scores, kept))
    found: dict[str, Any] = {
        "efficiency": efficiency,
        "counts": counts.tolist(),
        "kept": int(kept.sum()),
        "injected_kept": None
        if injected is None
        else int((kept & injected & regions.inside(problem.data.mass)).sum()),
        **of_test,
        **_shapes(problem, scores, ~test_signal, efficiency, seed),
    }
    try:
        bump = hunt(counts, regions, config, signal_efficiency=of_test["signal_efficiency"], seed=seed)
    except DataError as error:  # a tight cut may leave nothing to fit: the page says so
        return {**found, "hunt": None, "problem": str(error)}
    values = {key: getattr(bump, key) for key in ("observed", "expected", "error", "p_region", "p_global")}
    values |= {"bump": bump.bump, "limit": bump.limit, "fit": bump.spectrum.expected.tolist()}
    values["fit_error"] = np.sqrt(np.diag(bump.spectrum.covariance)).tolist()
    return {**found, "hunt": values, "problem": None}


def _test_efficiencies(problem: SearchProblem, signal: Mask, passed: Floats) -> dict[str, float | None]:
    """Return the part of test signal that is in the region and passes, and of background that passes."""
    if problem.test is None:
        return {"signal_efficiency": None, "background_efficiency": None}
    weights, inside = problem.test.weights, problem.regions.inside(problem.test.mass)

    def part(among: Mask, passing: Mask) -> float | None:
        total = float(weights[among].sum())
        return float((weights * passed)[among & passing].sum() / total) if total else None

    return {
        "signal_efficiency": part(signal, inside),
        "background_efficiency": part(~signal, np.ones(len(signal), bool)),
    }


def _shapes(
    problem: SearchProblem, scores: Scores, background: Mask, efficiency: float, seed: int
) -> dict[str, Any]:
    """Return the spectra of true background before and after a cut on it alone, and whether they differ."""
    if problem.test is None or not background.any():
        return dict.fromkeys(("sculpting", "background_all", "background_kept"))
    mass, edges, score = problem.test.mass[background], problem.regions.edges, scores.test.mean(axis=0)
    # Random where scores tie.
    order = np.lexsort((np.random.default_rng(seed).random(int(background.sum())), score[background]))
    above = np.zeros(len(order), bool)
    above[order[len(order) - max(1, round(efficiency * len(order))) :]] = True
    shape = sculpting(mass, above, edges)
    return {
        "sculpting": None if shape is None else _without_nan(asdict(shape)),
        "background_all": np.histogram(mass, edges)[0].tolist(),
        "background_kept": np.histogram(mass[above], edges)[0].tolist(),
    }


def _without_nan(values: dict[str, float]) -> dict[str, float | None]:
    """Return numbers for JSON, which has no NaN: of few events there is no chi-squared."""
    return {key: None if np.isnan(value) else value for key, value in values.items()}


def _test_passes(scores: Scores, kept: npt.NDArray[np.bool_]) -> Floats:
    """Return the part of the folds whose cut each test event passes, (T,): each has its own threshold."""
    parts = []
    for number, test in enumerate(scores.test):
        held = scores.fold == number
        passing = scores.data[held & kept]
        parts.append(test >= passing.min() if len(passing) else np.zeros(len(test), bool))
    return np.asarray(np.mean(parts, axis=0))
