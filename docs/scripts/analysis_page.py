"""Put the tables of an analysis's report into its page, and keep the report with it.

python docs/scripts/analysis_page.py ANALYSIS_FOLDER NAME PAGE

Reads ANALYSIS_FOLDER/report and writes docs/reports/NAME and, between the markers ``TABLE of NAME`` that
docs/PAGE.md has, the tables of that name.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from study_page import DOCS, Row, markdown, number, put, read

Cell = Callable[[Row], str]


def plain(key: str) -> Cell:
    """Return the text of a column."""
    return lambda row: row[key]


def numeric(key: str, scale: float = 1.0) -> Cell:
    """Return the number of a column, times a factor."""
    return lambda row: number(str(scale * float(row[key]))) if row[key] else "-"


def chi_squared(prefix: str, p: str) -> Cell:
    """Return chi-squared over degrees of freedom with its p-value."""
    return lambda row: (
        f"{float(row[prefix]):.1f} / {float(row['degrees']):.0f}, p = {number(row[p])}"
        if row[prefix]
        else "-"
    )


def per_cent(key: str, error: str) -> Cell:
    """Return a share with its error."""
    return lambda row: f"{100 * float(row[key]):.1f} ± {100 * float(row[error]):.1f} %"


def count_of(passed: str, total: str) -> Cell:
    """Return so many of so many."""
    return lambda row: f"{row[passed]} of {row[total]}" if row[passed] else "-"


def quantiles(key: str) -> Cell:
    """Return the median with the central 68 %."""
    return lambda row: (
        f"{number(row[f'{key}_median'])} ({number(row[f'{key}_low'])} to {number(row[f'{key}_high'])})"
        if row[f"{key}_median"]
        else "-"
    )


COLUMNS: dict[str, Mapping[str, Cell]] = {
    "closure": {
        "observable": plain("observable"),
        "simulation, 1000 Δ": numeric("prior_distance", 1000),
        "binned, 1000 Δ": numeric("binned_distance", 1000),
        "unfolded, 1000 Δ": numeric("unfolded_distance", 1000),
        "binned, χ²": chi_squared("binned_chi2", "binned_p"),
        "unfolded, χ²": chi_squared("unfolded_chi2", "unfolded_p"),
    },
    "reweighted": {
        "observable": plain("observable"),
        "held out": plain("held_out"),
        "before, 1000 Δ": numeric("before_distance", 1000),
        "after, 1000 Δ": numeric("after_distance", 1000),
        "after, χ²": chi_squared("chi2", "p"),
    },
    "weights": {
        "training": plain("training"),
        "AUC before": numeric("auc_before"),
        "AUC after": numeric("auc_after"),
        "effective rows": numeric("effective_rows"),
        "top 1 % of rows": numeric("top_share"),
    },
    "coverage": {
        "observable": plain("observable"),
        "method": plain("method"),
        "bins": plain("bins"),
        "coverage, 68 %": per_cent("coverage_68", "coverage_68_error"),
        "coverage, 95 %": per_cent("coverage_95", "coverage_95_error"),
        "bias": numeric("bias"),
        "pull width": numeric("width"),
        "toys with joint p < 0.05": count_of("rejected", "toys"),
    },
    "improvement": {
        "signal events": plain("signals"),
        "method": plain("method"),
        "S/B [%]": numeric("signal_over_background", 100),
        "S/√B before": numeric("significance"),
        "largest improvement": quantiles("improvement"),
        "ε_B there": quantiles("background_efficiency"),
    },
    "no-signal": {
        "method": plain("method"),
        "data kept": numeric("efficiency"),
        "region: p < 0.05": count_of("region_rate_passed", "region_rate_total"),
        "bump: p < 0.05": count_of("bump_rate_passed", "bump_rate_total"),
        "observed / expected": quantiles("observed_over_expected"),
    },
}
"""Columns by the marker of a table."""
FILES = {"reweighted": "closure"}
"""Files of tables that are not named as their marker."""


def main(analysis: Path, name: str, page: Path) -> None:
    """Copy the report and fill the page."""
    target = DOCS / "reports" / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(analysis / "report", target)
    text = page.read_text(encoding="utf-8")
    for kind, columns in COLUMNS.items():
        rows = read(target / "csv" / f"{FILES.get(kind, kind)}.csv")
        if f"<!-- {kind} of {name}:" in text:
            cells = [[cell(row) for cell in columns.values()] for row in rows]
            text = put(text, f"{kind} of {name}", markdown(list(columns), cells))
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], DOCS / f"{sys.argv[3]}.md")
