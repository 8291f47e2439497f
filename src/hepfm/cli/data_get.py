"""``hepfm data get``: public data sets by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from hepfm.cli.advice import command_line
from hepfm.cli.common import verb
from hepfm.cli.completion import complete_dataset
from hepfm.cli.result import VerbResult


@dataclass(frozen=True, kw_only=True)
class Fetched(VerbResult):
    """Files of a public data set.

    Attributes
    ----------
    licence
        Their licence, as the archive states it.
    files
        The files that were fetched; empty after a dry run.
    """

    licence: str
    files: list[str]


@click.command("get")
@click.argument("name", shell_complete=complete_dataset)
@click.argument("patterns", nargs=-1, metavar="[FILE]...")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the files.")
@click.option("--yes", is_flag=True, help="Fetch without asking.")
@click.option("--dry-run", is_flag=True, help="Show files, sizes and licence; fetch nothing.")
@verb
def command(name: str, patterns: tuple[str, ...], output: Path, yes: bool, dry_run: bool) -> Fetched:
    """Fetch the public data set NAME (see `hepfm list dataset`), or those of its files that fit a FILE.

    Size and licence are shown first, checksums compared after. A FILE may have wildcards: 'val*'. What was
    interrupted goes on with the same command.
    """
    from hepfm.core.errors import ConfigError
    from hepfm.data.public.catalogue import public_set
    from hepfm.data.public.get import get, size_of

    source = public_set(name)
    lines = [f"{source.title} ({source.origin})", f"read by: {source.reader or 'a map'}"]

    def agreed(found: Any, files: Any) -> bool:
        lines.append(f"licence, as the archive states it: {found.licence}")
        lines.extend(f"  {file.name}  {size_of([file])}" for file in files)
        lines.append(f"{len(files)} of {len(found.files)} files, {size_of(files)}")
        if dry_run:
            return False
        if yes:
            return True
        if click.get_current_context().params["as_json"]:
            raise ConfigError(
                "with --json there is nobody to ask; give --yes, or --dry-run to see sizes and licence"
            )
        for line in lines:
            click.echo(line, err=True)
        return click.confirm("fetch them?", default=False, err=True)

    paths = get(name, patterns, output=output, agreed=agreed)
    following = (
        command_line("ingest", source.reader, *paths[:3], "-o", name) if paths and source.reader else None
    )
    return Fetched(
        licence=lines[2].rpartition(": ")[2],
        files=[str(path) for path in paths],
        lines=[*(lines if yes or dry_run else ()), f"{output}: {len(paths)} files fetched"],
        next=following,
    )
