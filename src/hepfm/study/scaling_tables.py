"""The tables of a study's scaling laws: parameters, quality of the fits, predictions, trainings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hepfm.metrics.scaling_law import FittedNumber, ScalingFit
from hepfm.report.formats import interval, p_value, significant
from hepfm.report.table import Column, in_file, on_page, text
from hepfm.study.scaling_fits import CheckedPrediction, NamedLaw
from hepfm.study.scaling_runs import MeasuredTraining

DIGITS = 3

EXPONENT = {"N": "alpha", "D": "beta", "C": "gamma"}
AMPLITUDE = {"N": "A", "D": "B", "C": "G"}
"""Letters of the terms, by variable."""


@dataclass(frozen=True)
class ParameterRow:
    """A parameter of a law of an arm."""

    arm: str
    law: NamedLaw
    symbol: str
    what: str
    number: FittedNumber


@dataclass(frozen=True)
class LawRow:
    """A law of an arm."""

    arm: str
    law: NamedLaw


@dataclass(frozen=True)
class PredictionRow:
    """A prediction of an arm."""

    arm: str
    checked: CheckedPrediction


def parameter_rows(arm: str, law: NamedLaw) -> Iterator[ParameterRow]:
    """Yield the parameters of a law; none where there is no law."""
    if law.fit is None:
        return
    yield ParameterRow(arm, law, "E", "loss that no scale takes away", law.fit.offset)
    for k, variable in enumerate(law.variables):
        yield ParameterRow(
            arm, law, AMPLITUDE[variable], f"amplitude of the power of {variable}", law.fit.amplitude(k)
        )
        yield ParameterRow(arm, law, EXPONENT[variable], f"exponent of {variable}", law.fit.exponent(k))


def shown_number(value: float | None) -> str:
    """Return a number for people; large amplitudes with an exponent.

    >>> shown_number(0.12345), shown_number(3.2e7), shown_number(None)
    ('0.123', '3.2e+07', 'none')
    """
    if value is None:
        return "none"
    return f"{value:.1e}" if abs(value) >= 1e5 else significant(value, DIGITS)


def shown_interval(number: FittedNumber) -> str:
    """Return an interval for people, open where it reaches a bound."""
    if number.low is None or number.high is None:
        return "none"
    if number.problem == "its interval reaches 0":
        return f"below {shown_number(number.high)}"
    if number.problem.startswith("its interval reaches"):
        return f"above {shown_number(number.low)}"
    return "none" if number.problem else f"{shown_number(number.low)} to {shown_number(number.high)}"


PARAMETER_COLUMNS: tuple[Column[ParameterRow], ...] = (
    text("arm", "arm", lambda row: row.arm),
    text("law of", "law", lambda row: row.law.key, lambda row: row.law.title),
    text("parameter", "parameter", lambda row: row.symbol, lambda row: f"{row.symbol}: {row.what}"),
    Column(
        "value",
        "value",
        lambda row: row.number.value,
        lambda row: "not determined" if row.number.problem else shown_number(row.number.value),
    ),
    on_page("interval", lambda row: shown_interval(row.number)),
    in_file("low", lambda row: row.number.low),
    in_file("high", lambda row: row.number.high),
    text("left open", "problem", lambda row: row.number.problem),
)


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.2f}%"


def _fit(row: LawRow) -> ScalingFit | None:
    return row.law.fit


LAW_COLUMNS: tuple[Column[LawRow], ...] = (
    text("arm", "arm", lambda row: row.arm),
    text("law of", "law", lambda row: row.law.key, lambda row: row.law.title),
    Column("cells", "cells", lambda row: len(row.law.cells)),
    Column("trainings", "trainings", lambda row: sum(len(cell.trainings) for cell in row.law.cells)),
    Column(
        "cells less parameters",
        "free",
        lambda row: fit.free if (fit := _fit(row)) else None,
        lambda row: "" if (fit := _fit(row)) is None else str(fit.free),
    ),
    Column(
        "scatter of trainings",
        "spread",
        lambda row: fit.spread if (fit := _fit(row)) else None,
        lambda row: "" if (fit := _fit(row)) is None else _percent(fit.spread),
    ),
    Column(
        "of cells beyond it",
        "misfit",
        lambda row: fit.misfit if (fit := _fit(row)) else None,
        lambda row: "" if (fit := _fit(row)) is None else _percent(fit.misfit if fit.free else None),
    ),
    Column(
        "p of the form",
        "p_form",
        lambda row: fit.p_form if (fit := _fit(row)) else None,
        lambda row: "" if (fit := _fit(row)) is None else p_value(fit.p_form),
    ),
    text("remark", "remark", lambda row: remark(row.law)),
)


def remark(law: NamedLaw) -> str:
    """Return what must be said of a law: that there is none, that nothing tests it, that it does not fit."""
    if law.fit is None:
        return f"no law: {law.why}"
    if not law.fit.free:
        return "as many cells as parameters: the form is not tested"
    if law.fit.p_form is not None and law.fit.p_form < 0.01:
        return "the form does not describe the losses within the scatter of trainings"
    return ""


def _beyond(checked: CheckedPrediction, what: str) -> float | None:
    """Return how many times N or D of a prediction is that of the largest fitted cell."""
    if checked.largest is None:
        return None
    return float(getattr(checked.cell, what) / getattr(checked.largest, what))


def _times(checked: CheckedPrediction, what: str) -> str:
    ratio = _beyond(checked, what)
    return f"{getattr(checked.cell, what):,}" + ("" if ratio is None else f" (times {significant(ratio, 2)})")


PREDICTION_COLUMNS: tuple[Column[PredictionRow], ...] = (
    text("arm", "arm", lambda row: row.arm),
    text("prediction", "prediction", lambda row: row.checked.cell.predicted),
    in_file("size", lambda row: row.checked.cell.size),
    Column(
        "N (over the largest)",
        "parameters",
        lambda row: row.checked.cell.parameters,
        lambda row: _times(row.checked, "parameters"),
    ),
    Column(
        "D (over the largest)",
        "rows",
        lambda row: row.checked.cell.training_rows,
        lambda row: _times(row.checked, "training_rows"),
    ),
    Column(
        "predicted",
        "predicted",
        lambda row: one.value if (one := row.checked.predicted) else None,
        lambda row: f"{one.value:.4f}" if (one := row.checked.predicted) else "none",
    ),
    on_page(
        "interval",
        lambda row: interval(one.low, one.high, "difference") if (one := row.checked.predicted) else "none",
    ),
    in_file("predicted_low", lambda row: one.low if (one := row.checked.predicted) else None),
    in_file("predicted_high", lambda row: one.high if (one := row.checked.predicted) else None),
    Column(
        "measured",
        "measured",
        lambda row: row.checked.cell.mean if row.checked.cell.trainings else None,
        lambda row: f"{row.checked.cell.mean:.4f}" if row.checked.cell.trainings else "none",
    ),
    text("verdict", "verdict", lambda row: row.checked.verdict),
    Column("trainings", "trainings", lambda row: len(row.checked.cell.trainings)),
    Column(
        "largest fitted cell",
        "largest_fitted",
        lambda row: one.mean if (one := row.checked.largest) else None,
        lambda row: f"{one.mean:.4f}" if (one := row.checked.largest) else "none",
    ),
)


def _count(value: float) -> str:
    return f"{value:,.0f}"


TRAINING_COLUMNS: tuple[Column[MeasuredTraining], ...] = (
    text("arm", "arm", lambda one: one.planned.arm),
    text("size", "size", lambda one: one.planned.size),
    Column("D", "rows", lambda one: one.training_rows, lambda one: _count(one.training_rows)),
    Column("seed", "seed", lambda one: one.planned.seed),
    text("held out for", "predicted", lambda one: one.planned.predicted),
    Column("N", "parameters", lambda one: one.parameters, lambda one: _count(one.parameters)),
    Column(
        "with embedding and heads",
        "all_parameters",
        lambda one: one.all_parameters,
        lambda one: _count(one.all_parameters),
    ),
    Column("loss", "loss", lambda one: one.loss, lambda one: f"{one.loss:.4f}"),
    Column("best step", "best_step", lambda one: one.best_step, lambda one: _count(one.best_step)),
    Column("steps", "steps", lambda one: one.steps, lambda one: _count(one.steps)),
    Column("epochs to the best", "epochs", lambda one: one.epochs, lambda one: significant(one.epochs)),
    Column(
        "constituents seen",
        "constituents_seen",
        lambda one: one.constituents_seen,
        lambda one: f"{one.constituents_seen:.2e}",
    ),
    Column("FLOP to the best", "flop", lambda one: one.flops, lambda one: f"{one.flops:.2e}"),
    Column(
        "core seconds",
        "core_seconds",
        lambda one: one.core_seconds,
        lambda one: significant(one.core_seconds),
    ),
    text("mark", "mark", lambda one: one.mark),
    in_file("run", lambda one: one.planned.run),
)
