"""``hepfm ingest``: published or private files into a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hepfm.cli.advice import command_line
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_component
from hepfm.cli.options import read_options, set_option

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("format_name", metavar="FORMAT", shell_complete=complete_component("reader"))
@click.argument("files", nargs=-1, required=True, metavar="[SPLIT=]FILE...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Directory of the store."
)
@set_option("the format")
@verb
def command(
    format_name: str, files: tuple[str, ...], output: Path, options: tuple[str, ...]
) -> dict[str, Any]:
    """Read FILEs of FORMAT (see `hepfm list reader`) into a store.

    A file goes into the split train unless one is given: test=test.h5. What files do not tell about
    themselves is said by --set, e.g. --set jet_class=g.
    """
    from hepfm.data.ingest import ingest
    from hepfm.data.store import Store

    path = ingest(format_name, files, output=output, options=read_options(options))
    store = Store.open(path)
    counts = {split: len(rows) for split, rows in store.splits.items()}
    return {
        "path": str(path),
        "rows": counts,
        "lines": [f"{path}: {', '.join(f'{count} {split}' for split, count in counts.items())} jets"],
        "next": command_line("data", "info", path),
    }
