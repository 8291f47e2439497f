"""The tables of the page of an unfolding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from hepfm.analyses.cells import chi_text, chi_value, per_cent, thousand
from hepfm.analyses.unfold_outcome import UnfoldedSpectrum
from hepfm.report.formats import significant
from hepfm.report.table import Column, text

TRUTH: tuple[Column[UnfoldedSpectrum], ...] = (
    text("observable", "observable", lambda one: one.name),
    Column(
        "simulation, 1000 Δ",
        "prior_distance",
        lambda one: one.distance(one.prior),
        lambda one: thousand(one.distance(one.prior)),
    ),
    Column(
        "binned, 1000 Δ",
        "binned_distance",
        lambda one: one.distance(one.bayesian),
        lambda one: thousand(one.distance(one.bayesian)),
    ),
    Column(
        "unfolded, 1000 Δ",
        "unfolded_distance",
        lambda one: one.distance(one.unfolded),
        lambda one: thousand(one.distance(one.unfolded)),
    ),
    Column(
        "binned, χ²",
        "binned_chi2",
        lambda one: chi_value(one.bayesian_chi_squared, "value"),
        lambda one: chi_text(one.bayesian_chi_squared),
    ),
    Column(
        "unfolded, χ²",
        "unfolded_chi2",
        lambda one: chi_value(one.chi_squared, "value"),
        lambda one: chi_text(one.chi_squared),
    ),
    Column("", "binned_p", lambda one: chi_value(one.bayesian_chi_squared, "p")),
    Column("", "unfolded_p", lambda one: chi_value(one.chi_squared, "p")),
    Column("", "degrees", lambda one: chi_value(one.chi_squared, "degrees")),
)


def _share(part: Any, whole: Any) -> float | None:
    """Return the median over bins of an uncertainty relative to the result."""
    if part is None:
        return None
    kept = whole > 0
    return float(np.median(part[kept] / whole[kept])) if kept.any() else None


def _error(source: str) -> Column[UnfoldedSpectrum]:
    """Return the column of a source of uncertainty."""

    def value(one: UnfoldedSpectrum) -> float | None:
        return _share(getattr(one, source), one.unfolded)

    return Column(source, source, value, lambda one: per_cent(value(one)))


ERRORS: tuple[Column[UnfoldedSpectrum], ...] = (
    text("observable", "observable", lambda one: one.name),
    *map(_error, ("statistical", "training", "systematic", "total")),
)


class WeightsRow:
    """An iteration of one run, for the table of weights."""

    def __init__(self, run: str, number: int, facts: Mapping[str, Any], events: int) -> None:
        self.run, self.number, self.weights, self.events = run, number, facts["weights"], events
        self.cut = sum(facts[level]["cut"] for level in ("detector", "particle"))
        self.losses = [
            float(np.mean([one["validation_loss"] for one in facts[level]["trainings"]]))
            for level in ("detector", "particle")
        ]


DIAGNOSIS: tuple[Column[WeightsRow], ...] = (
    text("training", "training", lambda row: row.run),
    Column("iteration", "iteration", lambda row: row.number),
    Column(
        "effective events",
        "effective_rows",
        lambda row: row.weights["effective_rows"],
        lambda row: f"{row.weights['effective_rows']:,.0f} of {row.events:,}",
    ),
    Column(
        "largest / median weight",
        "largest_over_median",
        lambda row: row.weights["largest"] / row.weights["median"] if row.weights["median"] else None,
        lambda row: (
            significant(row.weights["largest"] / row.weights["median"]) if row.weights["median"] else "-"
        ),
    ),
    Column(
        "top 1 % of events",
        "top_share",
        lambda row: row.weights["top_share"],
        lambda row: per_cent(row.weights["top_share"]),
    ),
    Column("ratios cut", "cut", lambda row: row.cut),
    Column("NaN", "not_finite", lambda row: row.weights["not_finite"]),
    Column(
        "loss - ln 2, detector",
        "loss_detector",
        lambda row: row.losses[0] - math.log(2),
        lambda row: f"{row.losses[0] - math.log(2):+.5f}",
    ),
    Column(
        "loss - ln 2, particle",
        "loss_particle",
        lambda row: row.losses[1] - math.log(2),
        lambda row: f"{row.losses[1] - math.log(2):+.5f}",
    ),
)


class Change:
    """How much an observable moved in an iteration."""

    def __init__(self, spectrum: UnfoldedSpectrum, number: int) -> None:
        self.observable, self.number = spectrum.name, number
        before = spectrum.prior if number == 1 else spectrum.by_iteration[number - 2]
        after = spectrum.by_iteration[number - 1]
        self.distance = spectrum.distance(after)
        error = spectrum.statistical
        kept = np.zeros(0, bool) if error is None else error > 0
        self.change = (
            float(np.sqrt(np.mean(((after - before)[kept] / error[kept]) ** 2)))
            if error is not None and kept.any()
            else None
        )


CHANGES: tuple[Column[Change], ...] = (
    text("observable", "observable", lambda row: row.observable),
    Column("iteration", "iteration", lambda row: row.number),
    Column(
        "change / statistical error",
        "change",
        lambda row: row.change,
        lambda row: "-" if row.change is None else significant(row.change, 2),
    ),
    Column("1000 Δ to truth", "distance", lambda row: row.distance, lambda row: thousand(row.distance)),
)
