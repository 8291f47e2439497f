"""``hepfm data``: look at, check, plot, split, mix, label and export stores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from hepfm.cli.advice import command_line
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_component, complete_recipe
from hepfm.cli.data_get import command as get
from hepfm.cli.options import overwrite_option, read_options, set_option, split_options
from hepfm.cli.result import StoreFacts, VerbResult

_PATH = click.Path(path_type=Path)
_STORE = click.argument("store", type=_PATH)


@click.group()
def command() -> None:
    """Look at, check, plot, split, mix, label and export stores; fetch public data sets."""


command.add_command(get)


def _facts(path: Path) -> dict[str, Any]:
    """Return the fields of `StoreFacts`."""
    from dataclasses import asdict

    from hepfm.data.store import Store
    from hepfm.data.summary import summarize

    return {"path": str(path), **asdict(summarize(Store.open(path)))}


@dataclass(frozen=True, kw_only=True)
class StoreDescription(StoreFacts):
    """A store.

    Attributes
    ----------
    fields
        Names of its fields.
    fingerprint
        Of everything in it.
    provenance
        Where it comes from: generator settings, seeds, versions, cross sections (fb), sources and licences.
    """

    fields: list[str]
    fingerprint: str
    provenance: dict[str, Any]


@command.command()
@_STORE
@verb
def info(store: Path) -> StoreDescription:
    """Show the rows, classes, fields and origin of STORE."""
    from hepfm.data.store import Store
    from hepfm.data.summary import describe

    opened = Store.open(store)
    return StoreDescription(
        **_facts(store),
        fields=list(opened.schema.names()),
        fingerprint=opened.fingerprint,
        provenance=dict(opened.manifest.provenance),
        lines=describe(opened),
        next=command_line("data", "check", store),
    )


@dataclass(frozen=True, kw_only=True)
class StoreChecked(VerbResult):
    """A store that is as it was written.

    Attributes
    ----------
    rows
        Number of rows.
    shards
        Number of files.
    """

    rows: int
    shards: int


@command.command()
@_STORE
@verb
def check(store: Path) -> StoreChecked:
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
    return StoreChecked(rows=opened.num_rows, shards=shards, lines=lines, next="hepfm list recipes")


@dataclass(frozen=True, kw_only=True)
class FieldsPlotted(VerbResult):
    """Histograms of the fields of a store.

    Attributes
    ----------
    path
        The file.
    """

    path: str


@command.command()
@_STORE
@click.option("-o", "--output", type=_PATH, required=True, help="File: .png, .pdf or .svg.")
@click.option("--split", help="Rows of one split.  [default: all]")
@click.option("--rows", type=int, default=20_000, show_default=True, help="Most rows; a random draw of more.")
@overwrite_option
@verb
def plot(store: Path, output: Path, split: str | None, rows: int, overwrite: bool) -> FieldsPlotted:
    """Draw histograms of every field of STORE on one page, by class."""
    from hepfm.report.figures.fields import plot_fields

    path = plot_fields(store, output, split=split, rows=rows, overwrite=overwrite)
    return FieldsPlotted(path=str(path), lines=[str(path)])


@command.command()
@_STORE
@split_options(required=True)
@click.option("--of", metavar="SPLIT", help="Rows to split; the other splits stay.  [default: all rows]")
@click.option("-o", "--output", type=_PATH, required=True, help="Store to make.")
@overwrite_option
@verb
def split(store: Path, split: str, seed: int, of: str | None, output: Path, overwrite: bool) -> StoreFacts:
    """Write STORE with other splits, drawn at random; no group of rows is torn.

    E.g. --of train --split train=0.9,val=0.1 takes validation rows from the training split and leaves the
    test split as it is.
    """
    from hepfm.data.split_store import split_store
    from hepfm.data.splits import parse_fractions
    from hepfm.data.store import Store
    from hepfm.data.summary import describe

    path = split_store(store, output, split=parse_fractions(split), seed=seed, of=of, overwrite=overwrite)
    lines, following = describe(Store.open(path)), command_line("data", "check", path)
    return StoreFacts(**_facts(path), lines=lines, next=following)


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
) -> StoreFacts:
    """Make of STORE two samples that differ by their signal, for weak supervision (CWoLa).

    The label becomes the field sample: half of the background is pure; the other half and the signal are
    mixed. In the test split mixed is signal.
    """
    from hepfm.data.mixtures import mix as mix_store
    from hepfm.data.store import Store
    from hepfm.data.summary import describe

    path = mix_store(
        store,
        output,
        signal=signal,
        background=background,
        count=count,
        seed=seed,
        overwrite=overwrite,
    )
    evaluate = ("evaluate", "MODEL", "--on", "weak_supervision", "--store", path, "-o", "result")
    return StoreFacts(**_facts(path), lines=describe(Store.open(path)), next=command_line(*evaluate))


@dataclass(frozen=True, kw_only=True)
class StoreWithLabels(StoreFacts):
    """A store with labels.

    Attributes
    ----------
    labels
        Share of rows with yes, by label.
    """

    labels: dict[str, float]


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
def label(store: Path, labels: str, output: Path, overwrite: bool) -> StoreWithLabels:
    """Write STORE with labels made of its generator particles, for multi-label training.

    Each label is a field of the events with the classes no and yes; the share of yes is printed.
    """
    from hepfm.data.label import label as label_store
    from hepfm.data.label import shares

    path = label_store(store, output, labels=labels, overwrite=overwrite)
    found = shares(path)
    width = max(map(len, found))
    return StoreWithLabels(
        **_facts(path),
        labels=found,
        lines=[f"{name:<{width}}  {share:7.2%}" for name, share in found.items()],
        next=command_line("data", "check", path),
    )


@dataclass(frozen=True, kw_only=True)
class RowsExported(VerbResult):
    """Rows in a format of other tools.

    Attributes
    ----------
    path
        File or folder.
    rows
        Number of rows.
    """

    path: str
    rows: int


@command.command()
@_STORE
@click.option(
    "--format",
    "format_name",
    default="jetclass",
    show_default=True,
    shell_complete=complete_component("exporter"),
    help="Schema of the file.",
)
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
) -> RowsExported:
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
    again = command_line("ingest", format_name, path, "-o", path.with_name(f"{path.stem}-again"))
    following = None if path.is_dir() else again  # a folder's files need options to be read
    return RowsExported(path=str(path), rows=rows, lines=[f"{path}: {rows} rows"], next=following)
