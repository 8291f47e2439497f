"""What is measured of reconstructed neutrinos: errors of quantities, and what is said of a distribution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from hepfm.core.ragged import Array
from hepfm.metrics.coverage import COVERED, coverage, covered, half_widths, miscoverage
from hepfm.metrics.predictions import FloatArray
from hepfm.metrics.residuals import residual_bias, residual_width
from hepfm.metrics.response import RowStatistic, bias, percentiles, relative_iqr
from hepfm.physics.kinematics import mass_of
from hepfm.tasks.base import TaskMetric
from hepfm.tasks.neutrino_events import NeutrinoEvents, with_energy
from hepfm.tasks.ttbar_quantities import MASS, errors, quantities, relative_width

DRAW, SOLVED = "draw", "solved"
"""One draw in place of the estimate; events with an analytic solution."""

COMPONENTS = ("px", "py", "pz")
_TITLES = {"px": "px", "py": "py", "pz": "pz", "pt": "pT", "energy": "E"}


@dataclass(frozen=True)
class NeutrinoMetric:
    """A statistic of the numbers of one quantity.

    Attributes
    ----------
    metric
        What a task says of it.
    quantity
        Name of the quantity.
    statistic
        From its numbers to a number.
    definition
        Identifier of its definition.
    solved
        Whether events with an analytic solution alone count.
    detail
        See `hepfm.tasks.result.MetricInfo`.
    """

    metric: TaskMetric
    quantity: str
    statistic: RowStatistic
    definition: str = "neutrinos.v1"
    solved: bool = False
    detail: bool = False


def median(values: FloatArray, weights: FloatArray | None = None) -> float:
    """Return the median, by weight."""
    return float(percentiles(values, [50], weights)[0])


def _metric(name: str, title: str, quantity: str, statistic: RowStatistic) -> NeutrinoMetric:
    return NeutrinoMetric(TaskMetric(name=name, title=title, better="lower"), quantity, statistic)


ESTIMATE = (
    *(
        metric
        for name, title in _TITLES.items()
        for metric in (
            _metric(
                f"nu_{name}_width",
                f"{title}: 68 % half-width of reco - true [GeV]",
                f"nu_{name}",
                residual_width,
            ),
            _metric(
                f"nu_{name}_bias", f"{title}: |median of reco - true| [GeV]", f"nu_{name}", residual_bias
            ),
        )
    ),
    _metric("missing", "|sum of neutrinos' pT - missing pT|, median [GeV]", "missing", median),
    _metric("w_mass_width", "m(W): 68 % half-width of reco/true over its median", "w_mass", relative_width),
    _metric("w_mass_bias", "m(W): |median of reco/true - 1|", "w_mass", bias),
    _metric(
        "top_mass_width", "m(t): 68 % half-width of reco/true over its median", "top_mass", relative_width
    ),
    _metric("top_mass_bias", "m(t): |median of reco/true - 1|", "top_mass", bias),
    _metric("mtt_iqr", "m(tt): IQR of reco/true over its median", MASS, relative_iqr),
    _metric("mtt_bias", "m(tt): |median of reco/true - 1|", MASS, bias),
    _metric("top_pt_width", "pT of tops: 68 % half-width of reco - true [GeV]", "top_pt", residual_width),
)
"""Metrics of one answer to each event."""

_OF_SOLVED = ("nu_px_width", "nu_py_width", "nu_pz_width", "mtt_iqr", "top_pt_width")


def _others() -> Iterator[NeutrinoMetric]:
    """Yield the metrics of one draw, of the events with an analytic solution, and of the distribution."""
    for one in ESTIMATE:
        if not one.metric.name.endswith("_bias"):
            named = replace(
                one.metric, name=f"{one.metric.name}_{DRAW}", title=f"{one.metric.title}, one draw"
            )
            yield replace(one, metric=named, quantity=f"{one.quantity}_{DRAW}")
    for one in ESTIMATE:
        if one.metric.name in _OF_SOLVED:
            yield replace(one, metric=one.metric.of_group(SOLVED), solved=True)
    for name in COMPONENTS:
        title = f"{name}: median 68 % half-width of the draws [GeV]"
        sharp = _metric(f"sharpness_{name}", title, f"spread_{name}", median)
        yield replace(sharp, definition="neutrinos.sharpness.v1")
    for level, nominal in COVERED.items():
        for name in COMPONENTS:
            metric = _metric(
                f"miscoverage_{level}_{name}",
                f"{name}: |coverage of {level} % intervals of draws - {nominal:.4g}|",
                f"covered_{level}_{name}",
                partial(miscoverage, nominal=nominal),
            )
            yield replace(metric, definition=f"neutrinos.miscoverage.v1.{level}")
            # Neither more nor less of it is better: reports show the distance from what it should be.
            plain = TaskMetric(
                name=f"coverage_{level}_{name}", title=f"{name}: coverage of {level} % intervals of draws"
            )
            yield NeutrinoMetric(
                plain, metric.quantity, coverage, f"neutrinos.coverage.v1.{level}", detail=True
            )


METRICS = (*ESTIMATE, *_others())


def errors_of(events: NeutrinoEvents, momenta: Array, bottoms: Array) -> dict[str, Array]:
    """Return the errors of quantities, (R, 1) or (R, 2); NaN where one is not defined or not answered.

    Parameters
    ----------
    events
        The R events.
    momenta
        What is said of neutrino and antineutrino, (R, 2, 3); NaN for no answer.
    bottoms
        b jets of top and antitop of `NeutrinoEvents.pairs`, (P, 2, 4).
    """
    momenta = np.where(events.there[..., None], momenta, np.nan)
    vectors, truth = with_energy(momenta), with_energy(events.truth)
    difference = vectors - truth
    found = {f"nu_{name}": difference[..., k] for k, name in enumerate(("energy", *COMPONENTS))}
    found["nu_pt"] = np.hypot(*momenta[..., :2].T).T - np.hypot(*events.truth[..., :2].T).T
    whole = np.where(events.there[..., None], momenta[..., :2], 0.0).sum(1)
    found["missing"] = np.linalg.norm(whole - events.missing, axis=1)[:, None]
    found["w_mass"] = mass_of(events.partners + vectors) / events.w_mass
    return {**found, **_of_tops(events, vectors, bottoms)}


def _of_tops(events: NeutrinoEvents, vectors: Array, bottoms: Array) -> dict[str, Array]:
    pairs, place = events.pairs, events.of_pairs
    bottoms = np.where(pairs.seen.complete[:, None, None], bottoms, np.nan)
    neutrinos, leptons = vectors[place], pairs.seen.leptons
    true = [pairs.truth[:, :, k] for k in range(3)]
    of_pair = errors(quantities(bottoms, leptons, neutrinos), quantities(*true))
    of_pair["top_mass"] = mass_of(bottoms + leptons + neutrinos) / mass_of(sum(true[1:], true[0]))
    found = {}
    for name in (MASS, "top_pt", "top_mass"):
        found[name] = np.full((len(events), of_pair[name].shape[1]), np.nan)
        found[name][place] = of_pair[name]
    return found


def of_draws(events: NeutrinoEvents, draws: Array) -> dict[str, Array]:
    """Return of draws (R, S, 2, 3) which intervals cover the truth, 1 or 0, and half widths, (R, 2) each."""
    found = {}
    for k, name in enumerate(COMPONENTS):
        values, truth = np.moveaxis(draws[..., k], 1, -1), events.truth[..., k]
        for level, nominal in COVERED.items():
            found[f"covered_{level}_{name}"] = covered(values, truth, nominal)
        found[f"spread_{name}"] = np.where(events.there, half_widths(values, COVERED[68]), np.nan)
    return found
