"""``hepfm compare``: evaluated models in tables, curves and one page."""

from __future__ import annotations

from dataclasses import dataclass

import click

from hepfm.cli.common import verb
from hepfm.cli.result import VerbResult


@dataclass(frozen=True, kw_only=True)
class ComparisonDone(VerbResult):
    """A report.

    Attributes
    ----------
    report
        The page, report.html.
    tables
        CSV files of everything that it shows.
    """

    report: str
    tables: list[str]


@click.command()
@click.argument("results", nargs=-1, type=click.Path())
@click.option(
    "-o", "--output", default="report", show_default=True, type=click.Path(), help="Directory of the report."
)
@click.option(
    "--store", "stores", multiple=True, type=click.Path(), help="A store to show as well; repeatable."
)
@verb
def command(results: tuple[str, ...], output: str, stores: tuple[str, ...]) -> ComparisonDone:
    """Compare RESULTS (directories of `hepfm evaluate`) and write report.html and CSV files.

    One real store and stores of generated rows (`--store`, repeated) are drawn over each other, with RESULTS
    or without.
    """
    from hepfm.report.compare import compare, summary_lines

    comparison = compare(results, output=output, stores=stores)
    return ComparisonDone(
        report=str(comparison.report),
        tables=[str(path) for path in comparison.tables],
        lines=summary_lines(comparison),
    )
