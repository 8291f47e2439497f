"""``hepfm ingest``: published or private files into a store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from hepfm.cli.advice import command_line
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_component
from hepfm.cli.options import read_options, set_option, split_options
from hepfm.cli.result import VerbResult

_PATH = click.Path(path_type=Path)


@dataclass(frozen=True, kw_only=True)
class Ingested(VerbResult):
    """A store that was made of files.

    Attributes
    ----------
    path
        Directory of the store.
    rows
        Rows of each split.
    """

    path: str
    rows: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class MapDraft(VerbResult):
    """A first draft of a map; nothing was written.

    Attributes
    ----------
    map
        The draft, as YAML.
    """

    map: str


@click.command()
@click.argument("format_name", metavar="FORMAT", shell_complete=complete_component("reader"))
@click.argument("files", nargs=-1, required=True, metavar="[SPLIT=]FILE...")
@click.option("-o", "--output", type=_PATH, help="Directory of the store.")
@click.option("--map", "map_file", type=_PATH, help="YAML file of what is what, for the format mapping.")
@click.option("--suggest", is_flag=True, help="Print a first draft of a map for FILE; write nothing.")
@split_options()
@click.option("--allow-shared", is_flag=True, help="Keep rows that are in two splits.")
@set_option("the format")
@verb
def command(
    format_name: str,
    files: tuple[str, ...],
    output: Path | None,
    map_file: Path | None,
    suggest: bool,
    split: str | None,
    seed: int,
    allow_shared: bool,
    options: tuple[str, ...],
) -> Ingested | MapDraft:
    """Read FILEs of FORMAT (see `hepfm list reader`) into a store.

    A FILE is a path, a URL (https://, root://), a quoted pattern ("jets_*.root"), a folder, or a list of
    paths and URLs (@list.txt). It goes into
    the split train unless one is given: test=test.h5; --split draws splits at random. What files do not tell
    about themselves is said by --set, e.g. --set jet_class=g, and of your own files by a map: hepfm ingest
    mapping FILE --suggest drafts one.
    """
    if suggest:
        return _draft(format_name, files, read_options(options))
    if output is None:
        raise click.UsageError("Missing option '-o' / '--output'.")
    from hepfm.core.config import merge, read_yaml
    from hepfm.data.ingest import ingest
    from hepfm.data.splits import parse_fractions
    from hepfm.data.store import Store

    values = read_options(options)
    if map_file is not None:
        values = merge(read_yaml(map_file), values)
    fractions = None if split is None else parse_fractions(split)
    path = ingest(
        format_name,
        files,
        output=output,
        options=values,
        split=fractions,
        seed=seed,
        allow_shared=allow_shared,
    )
    store = Store.open(path)
    counts = {split: len(rows) for split, rows in store.splits.items()}
    return Ingested(
        path=str(path),
        rows=counts,
        lines=[f"{path}: {', '.join(f'{count} {split}' for split, count in counts.items())} rows"],
        next=command_line("data", "info", path),
    )


def _draft(format_name: str, files: tuple[str, ...], options: dict[str, Any]) -> MapDraft:
    from hepfm.core.guards import reading
    from hepfm.data.inputs import find_inputs
    from hepfm.data.maps.suggest import suggest
    from hepfm.data.readers.mapping import MappingReader

    if format_name != "mapping" or len(files) != 1:
        raise click.UsageError("--suggest drafts a map of one file: hepfm ingest mapping FILE --suggest")
    (_, path), *_ = find_inputs(files, MappingReader.endings)
    with reading(str(path)):
        text = suggest(path, tree=options.get("tree"))
    return MapDraft(map=text, lines=text.splitlines())
