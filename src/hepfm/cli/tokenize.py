"""``hepfm tokenize``: constituents to integers and back, and what is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from hepfm.cli.advice import command_line
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_overrides, complete_recipe
from hepfm.cli.result import VerbResult


@dataclass(frozen=True, kw_only=True)
class Tokenized(VerbResult):
    """The report on a tokenizer.

    Attributes
    ----------
    output
        Directory of the report.
    report
        Number, use and perplexity of the codes, and median and interquartile range of decoded minus original
        features, in their units.
    """

    output: str
    report: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Decoded(VerbResult):
    """Rows that were made of codes.

    Attributes
    ----------
    store
        The store.
    """

    store: str


@click.command()
@click.argument("source", shell_complete=complete_recipe("pretrain"))
@click.argument(
    "overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=complete_overrides("pretrain")
)
@click.option("-o", "--output", required=True, type=click.Path(), help="Run, report or store to make.")
@click.option("--on", "store", type=click.Path(), help="Store to report on; a recipe's own by default.")
@click.option("--split", help="Its split; test, or a recipe's validation, by default.")
@click.option("-n", "number", type=int, help="Most jets; all by default.")
@click.option("--classifier", type=click.Path(), help="Model whose loss of accuracy is reported.")
@click.option("--decode", type=click.Path(), help="File of codes to turn into jets with the model SOURCE.")
@click.option("--smoke", is_flag=True, help="Shrink training to seconds.")
@verb
def command(
    source: str,
    overrides: tuple[str, ...],
    output: str,
    store: str | None,
    split: str | None,
    number: int | None,
    classifier: str | None,
    decode: str | None,
    smoke: bool,
) -> Tokenized | Decoded | None:
    """Train a tokenizer from a recipe SOURCE, or use that of a model directory SOURCE, and report on it.

    OVERRIDES are key=value settings of the recipe. With --decode codes become jets again.
    """
    from pathlib import Path

    from hepfm.inference.codes_file import decode_codes
    from hepfm.inference.token_report import report_lines
    from hepfm.train.tokenize import TOKENS, tokenize

    if decode is not None:
        path = decode_codes(source, decode, output=output)
        return Decoded(store=str(path), lines=[f"store: {path}"], next=command_line("data", "info", path))
    report = tokenize(
        source,
        output=output,
        store=store,
        split=split,
        number=number,
        classifier=classifier,
        overrides=overrides,
        smoke=smoke,
    )
    if not report:
        return None  # the first of several processes says it
    trained = (Path(output) / "model").exists()
    model = str(Path(output) / "model") if trained else source
    folder = str(Path(output) / TOKENS) if trained else output
    return Tokenized(
        output=folder,
        report=report,
        lines=[*report_lines(report), f"report: {folder}"],
        next=command_line("check", model),
    )
