"""``hepfm predict``: scores or embeddings of a store's rows."""

from __future__ import annotations

from dataclasses import dataclass

import click

from hepfm.cli.common import verb
from hepfm.cli.options import device_option, numbers_by_name, overwrite_option, withhold_option
from hepfm.cli.result import VerbResult


@dataclass(frozen=True, kw_only=True)
class Predicted(VerbResult):
    """Scores of rows.

    Attributes
    ----------
    output
        The file.
    columns
        Names of its columns.
    """

    output: str
    columns: list[str]


@click.command()
@click.argument("model", type=click.Path())
@click.argument("store", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="FILE.arrow, .parquet, .h5 or .root.")
@click.option("--split", help="Split to predict; all rows by default.")
@click.option(
    "--observers",
    default="",
    help="Fields to copy beside the scores, with commas; those of constituents are lists.",
)
@click.option("--embeddings", is_flag=True, help="Write the summary vector of each row too.")
@click.option(
    "--assume",
    multiple=True,
    metavar="FIELD=NUMBER",
    help="The model reads this number in all rows, e.g. event_resonance_mass=1000.",
)
@withhold_option
@device_option
@overwrite_option
@verb
def command(
    model: str,
    store: str,
    output: str,
    split: str | None,
    observers: str,
    embeddings: bool,
    assume: tuple[str, ...],
    withhold: list[str],
    device: str,
    overwrite: bool,
) -> Predicted:
    """Write the scores of MODEL (or of the model of a run) on STORE to a file, in row order."""
    from hepfm.inference.predict import predict

    names = [name.strip() for name in observers.split(",") if name.strip()]
    columns = predict(
        model,
        store,
        output=output,
        split=split,
        observers=names,
        embeddings=embeddings,
        withhold=withhold,
        assume=numbers_by_name(assume),
        device=device,
        overwrite=overwrite,
    )
    return Predicted(output=output, columns=columns, lines=[f"{output}: {', '.join(columns)}"])
