"""``hepfm data``: look at, check, plot, split, mix, label and export stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hepfm.cli.advice import command_line
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_recipe
from hepfm.cli.data_get import command as get
from hepfm.cli.options import overwrite_option, read_options, set_option, split_options

_PATH = click.Path(path_type=Path)
_STORE = click.argument("store", type=_PATH)


@click.group()
def command() -> None:
    """Look at, check, plot, split, mix, label and export stores; fetch public data sets."""


command.add_command(get)


@command.command()
@_STORE
@verb
def info(store: Path) -> dict[str, Any]:
    """Show the rows, classes, fields and origin of STORE."""
    from dataclasses import asdict

    from hepfm.data.store import Store
    from hepfm.data.summary import describe, summarize

    opened = Store.open(store)
    return {
        **asdict(summarize(opened)),
        "fields": list(opened.schema.names()),
        "fingerprint": opened.fingerprint,
        "provenance": dict(opened.manifest.provenance),
        "lines": describe(opened),
        "next": command_line("data", "check", store),
    }


@command.command()
@_STORE
@verb
def check(store: Path) -> dict[str, Any]:
    """Read all of STORE: hashes, lengths, finite numbers, classes, angles, order of constituents, weights.

    Rows that are in two splits are refused as well.
    """
    from hepfm.core.log import progress
    from hepfm.data.store import Store
    from hepfm.data.summary import describe_weights
    from hepfm.data.twins import check_twins

    opened = Store.open(store)
    shards = 0
    with progress("check", opened.num_rows) as advance:
        for shard in opened.verify():
            shards += 1
            advance(shard.rows, shard.file)
    check_twins(opened)
    line = f"{store}: {opened.num_rows} rows in {shards} files are as they were written"
    lines = [line, *describe_weights(opened)]
    return {"rows": opened.num_rows, "shards": shards, "lines": lines, "next": "hepfm list recipes"}


@command.command()
@_STORE
@click.option("-o", "--output", type=_PATH, required=True, help="File: .png, .pdf or .svg.")
@click.option("--split", help="Rows of one split.  [default: all]")
@click.option("--rows", type=int, default=20_000, show_default=True, help="Most rows; a random draw of more.")
@overwrite_option
@verb
def plot(store: Path, output: Path, split: str | None, rows: int, overwrite: bool) -> dict[str, Any]:
    """Draw histograms of every field of STORE on one page, by class."""
    from hepfm.report.figures.fields import plot_fields

    path = plot_fields(store, output, split=split, rows=rows, overwrite=overwrite)
    return {"path": str(path), "lines": [str(path)]}


@command.command()
@_STORE
@split_options(required=True)
@click.option("--of", metavar="SPLIT", help="Rows to split; the other splits stay.  [default: all rows]")
@click.option("-o", "--output", type=_PATH, required=True, help="Store to make.")
@overwrite_option
@verb
def split(
    store: Path, split: str, seed: int, of: str | None, output: Path, overwrite: bool
) -> dict[str, Any]:
    """Write STORE with other splits, drawn at random; no group of rows is torn.

    E.g. --of train --split train=0.9,val=0.1 takes validation rows from the training split and leaves the
    test split as it is.
    """
    from dataclasses import asdict

    from hepfm.data.split_store import split_store
    from hepfm.data.splits import parse_fractions
    from hepfm.data.store import Store
    from hepfm.data.summary import describe, summarize

    path = split_store(store, output, split=parse_fractions(split), seed=seed, of=of, overwrite=overwrite)
    opened = Store.open(path)
    return {
        **asdict(summarize(opened)),
        "lines": describe(opened),
        "next": command_line("data", "check", path),
    }


@command.command()
@_STORE
@click.option("--signal", required=True, metavar="CLASS", help="Class of the signal.")
@click.option("--background", required=True, metavar="CLASS", help="Class of the background.")
@click.option("--count", type=int, required=True, help="Rows of signal in the training split.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("-o", "--output", type=_PATH, required=True, help="Store to make.")
@overwrite_option
@verb
def mix(
    store: Path, signal: str, background: str, count: int, seed: int, output: Path, overwrite: bool
) -> dict[str, Any]:
    """Make of STORE two samples that differ by their signal, for weak supervision (CWoLa).

    The label becomes the field sample: half of the background is pure; the other half and the signal are
    mixed. In the test split mixed is signal.
    """
    from dataclasses import asdict

    from hepfm.data.mixtures import MIXED, PURE, SAMPLE
    from hepfm.data.mixtures import mix as mix_store
    from hepfm.data.store import Store
    from hepfm.data.summary import describe, summarize

    path = mix_store(
        store,
        output,
        signal=signal,
        background=background,
        count=count,
        seed=seed,
        overwrite=overwrite,
    )
    opened = Store.open(path)
    sides = ("--field", SAMPLE, "--signal", MIXED, "--background", PURE, "--background-efficiencies", "0.01")
    evaluate = ("evaluate", "MODEL", "--on", "classification", *sides, "--store", path, "-o", "result")
    return {**asdict(summarize(opened)), "lines": describe(opened), "next": command_line(*evaluate)}


@command.command()
@_STORE
@click.option(
    "--labels",
    required=True,
    shell_complete=complete_recipe("label"),
    help="Label set: a built-in one, e.g. event_truth, or a file.",
)
@click.option("-o", "--output", type=_PATH, required=True, help="Store to make.")
@overwrite_option
@verb
def label(store: Path, labels: str, output: Path, overwrite: bool) -> dict[str, Any]:
    """Write STORE with labels made of its generator particles, for multi-label training.

    Each label is a field of the events with the classes no and yes; the share of yes is printed.
    """
    from dataclasses import asdict

    from hepfm.data.label import label as label_store
    from hepfm.data.label import shares
    from hepfm.data.store import Store
    from hepfm.data.summary import summarize

    path = label_store(store, output, labels=labels, overwrite=overwrite)
    found = shares(path)
    width = max(map(len, found))
    return {
        **asdict(summarize(Store.open(path))),
        "labels": found,
        "lines": [f"{name:<{width}}  {share:7.2%}" for name, share in found.items()],
        "next": command_line("data", "check", path),
    }


@command.command()
@_STORE
@click.option("--format", "format_name", default="jetclass", show_default=True, help="Schema of the file.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="File, or folder for jetnet."
)
@click.option("--split", help="Rows of one split.  [default: all]")
@set_option("the format")
@overwrite_option
@verb
def export(
    store: Path,
    format_name: str,
    output: Path,
    split: str | None,
    options: tuple[str, ...],
    overwrite: bool,
) -> dict[str, Any]:
    """Write STORE in a format that other tools read (see `hepfm list exporter`).

    jetclass: a .root or .parquet file. jetnet: a folder with an HDF5 file per class. omnilearned: an .h5
    file.
    """
    from hepfm.data.exporters.export import export_store
    from hepfm.data.store import Store

    opened = Store.open(store)
    path = export_store(
        opened,
        output,
        format_name=format_name,
        split=split,
        options=read_options(options),
        overwrite=overwrite,
    )
    rows = len(opened.split(split)) if split else opened.num_rows
    result = {"path": str(path), "rows": rows, "lines": [f"{path}: {rows} rows"]}
    if path.is_dir():  # whose files need options to be read
        return result
    again = path.with_name(f"{path.stem}-again")
    return {**result, "next": command_line("ingest", format_name, path, "-o", again)}
