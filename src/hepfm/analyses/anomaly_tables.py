"""The tables of the page of searches for anomalies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from hepfm.analyses.anomaly_outcome import FALSE, Quantiles, Rate, SearchGroup
from hepfm.metrics.agreement import Agreement
from hepfm.report.formats import p_value, significant
from hepfm.report.table import Cell, Column, in_file, on_page, text


@dataclass(frozen=True)
class AfterCut:
    """Searches of a group after one cut.

    Attributes
    ----------
    group
        The searches.
    cut
        Place of the cut.
    efficiency
        Part of the data that it keeps.
    """

    group: SearchGroup
    cut: int
    efficiency: float


def quantile_text(found: Quantiles | None) -> str:
    """Return median and interval for people."""
    if found is None:
        return "-"
    if found.count < 2 or found.low == found.high:
        return significant(found.median)
    return f"{significant(found.median)} ({significant(found.low)} to {significant(found.high)})"


def median_of(found: Quantiles | None) -> str:
    """Return a median for people."""
    return significant(found.median) if found else "-"


def median_p(found: Quantiles | None) -> str:
    """Return a median p-value for people."""
    return p_value(found.median) if found else "-"


def p_text(found: Quantiles | None) -> str:
    """Return a median p-value and its interval for people."""
    if found is None:
        return "-"
    low, median, high = (p_value(one) for one in (found.low, found.median, found.high))
    return median if low == high else f"{median} ({low} to {high})"


def rate_text(rate: Rate | None) -> str:
    """Return a fraction with its interval for people."""
    if rate is None:
        return "-"
    low, high = rate.interval
    return f"{rate.passed} of {rate.total} ({low:.2f} to {high:.2f})"


def _quantiles(
    title: str,
    key: str,
    value: Callable[[AfterCut], Quantiles | None],
    shown: Callable[[Quantiles | None], str] = quantile_text,
) -> list[Column[AfterCut]]:
    def part(name: str) -> Callable[[AfterCut], Cell]:
        def cell(row: AfterCut) -> Cell:
            found = value(row)
            return None if found is None else float(getattr(found, name))

        return cell

    return [
        on_page(title, lambda row: shown(value(row))),
        *(in_file(f"{key}_{name}", part(name)) for name in ("median", "low", "high", "count")),
    ]


def _hunted(row: AfterCut, key: str) -> Quantiles | None:
    return Quantiles.of(row.group.of_hunt(row.cut, key))


def _rate(title: str, key: str, value: Callable[[AfterCut], Rate | None]) -> list[Column[AfterCut]]:
    return [
        on_page(title, lambda row: rate_text(value(row))),
        in_file(f"{key}_passed", lambda row: rate.passed if (rate := value(row)) else None),
        in_file(f"{key}_total", lambda row: rate.total if (rate := value(row)) else None),
    ]


def _share(title: str, key: str, value: Callable[[Agreed], float]) -> Column[Agreed]:
    def known(row: Agreed) -> float | None:
        return value(row) if math.isfinite(value(row)) else None

    return Column(title, key, known, lambda row: "-" if known(row) is None else f"{100 * value(row):.0f} %")


_METHOD: Column[AfterCut] = text("method", "method", lambda row: row.group.method)
_SIGNALS: Column[AfterCut] = Column("signal events", "signals", lambda row: row.group.signals)
_CUT: Column[AfterCut] = Column(
    "data kept", "efficiency", lambda row: row.efficiency, lambda row: f"{100 * row.efficiency:g} %"
)

BEST: tuple[Column[AfterCut], ...] = (
    _SIGNALS,
    _METHOD,
    Column(
        "S/B",
        "signal_over_background",
        lambda row: row.group.fraction,
        lambda row: f"{100 * row.group.fraction:.2f} %",
    ),
    Column(
        "S/√B before",
        "significance",
        lambda row: row.group.significance,
        lambda row: significant(row.group.significance),
    ),
    *_quantiles("largest improvement", "improvement", lambda row: row.group.best()),
    *_quantiles("ε_S there", "signal_efficiency", lambda row: row.group.best("signal")),
    *_quantiles("ε_B there", "background_efficiency", lambda row: row.group.best("background")),
)

NULL: tuple[Column[AfterCut], ...] = (
    _METHOD,
    _CUT,
    *_rate(
        f"region: p < {FALSE}", "region_rate", lambda row: Rate.of(row.group.of_hunt(row.cut, "p_region"))
    ),
    *_rate(f"bump: p < {FALSE}", "bump_rate", lambda row: Rate.of(row.group.of_hunt(row.cut, "p_global"))),
    *_quantiles(
        "observed / expected",
        "observed_over_expected",
        lambda row: Quantiles.of(
            [
                None if n is None or not b else n / b
                for n, b in zip(
                    row.group.of_hunt(row.cut, "observed"),
                    row.group.of_hunt(row.cut, "expected"),
                    strict=True,
                )
            ]
        ),
    ),
)

_COUNTED: tuple[Column[AfterCut], ...] = (
    *_quantiles("observed", "observed", lambda row: _hunted(row, "observed")),
    *_quantiles("expected", "expected", lambda row: _hunted(row, "expected")),
)

HUNT: tuple[Column[AfterCut], ...] = (
    _SIGNALS,
    _METHOD,
    _CUT,
    *_COUNTED,
    *_quantiles("region, p", "p_region", lambda row: _hunted(row, "p_region"), median_p),
    *_quantiles("bump, global p", "p_global", lambda row: _hunted(row, "p_global"), median_p),
    *_quantiles("upper limit", "limit", lambda row: _hunted(row, "limit")),
    *_rate("limit above truth", "coverage", lambda row: row.group.coverage(row.cut)),
)

BOX_HUNT: tuple[Column[AfterCut], ...] = (
    text("method", "method", lambda row: row.group.method if row.efficiency < 1 else "all data"),
    _CUT,
    *_COUNTED,
    *_quantiles("region, p", "p_region", lambda row: _hunted(row, "p_region"), p_text),
    *_quantiles("bump, global p", "p_global", lambda row: _hunted(row, "p_global"), p_text),
    *_quantiles("bump from", "bump_low", lambda row: Quantiles.of(row.group.of_bump(row.cut, 0)), median_of),
    *_quantiles("to", "bump_high", lambda row: Quantiles.of(row.group.of_bump(row.cut, 1)), median_of),
)
"""Of data of unknown truth: p-values with their spread over trainings."""
BOX_LIMIT: tuple[Column[AfterCut], ...] = (
    *_quantiles(
        "ε of the test signal",
        "signal_efficiency",
        lambda row: Quantiles.of(row.group.of_cut(row.cut, "signal_efficiency")),
    ),
    *_quantiles("upper limit", "limit", lambda row: _hunted(row, "limit")),
)
"""More of it where there is a simulated test signal."""

_SHAPE: tuple[Column[AfterCut], ...] = (
    *_quantiles("χ²", "chi2", lambda row: Quantiles.of(row.group.of_sculpting(row.cut, "chi_squared"))),
    *_quantiles("degrees", "degrees", lambda row: Quantiles.of(row.group.of_sculpting(row.cut, "degrees"))),
    *_quantiles("χ², p", "p", lambda row: Quantiles.of(row.group.of_sculpting(row.cut, "p")), median_p),
    *_quantiles("KS, p", "ks_p", lambda row: Quantiles.of(row.group.of_sculpting(row.cut, "ks_p")), median_p),
)

SCULPTING: tuple[Column[AfterCut], ...] = (
    _METHOD,
    _SIGNALS,
    _CUT,
    *_SHAPE,
    *_rate(f"χ²: p < {FALSE}", "rate", lambda row: Rate.of(row.group.of_sculpting(row.cut, "p"))),
)
BOX_SCULPTING: tuple[Column[AfterCut], ...] = (_METHOD, _CUT, *_SHAPE)


@dataclass(frozen=True)
class Agreed:
    """Agreement of the trainings of a method after a cut.

    Attributes
    ----------
    method, efficiency
        Which.
    trainings
        How many.
    found
        The agreement.
    """

    method: str
    efficiency: float
    trainings: int
    found: Agreement


AGREEMENT: tuple[Column[Agreed], ...] = (
    text("method", "method", lambda row: row.method),
    Column("data kept", "efficiency", lambda row: row.efficiency, lambda row: f"{100 * row.efficiency:g} %"),
    Column("trainings", "trainings", lambda row: row.trainings),
    _share("kept by both", "common", lambda row: row.found.common),
    _share("least of all pairs", "least", lambda row: row.found.least),
    _share("by chance", "chance", lambda row: row.found.chance),
    Column(
        "rank correlation",
        "correlation",
        lambda row: row.found.correlation,
        lambda row: f"{row.found.correlation:.2f}",
    ),
)
