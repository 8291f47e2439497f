"""``hepfm data get``: public data sets by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hepfm.cli.advice import command_line
from hepfm.cli.common import verb


@click.command("get")
@click.argument("name")
@click.argument("patterns", nargs=-1, metavar="[FILE]...")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the files.")
@click.option("--yes", is_flag=True, help="Fetch without asking.")
@click.option("--dry-run", is_flag=True, help="Show files, sizes and licence; fetch nothing.")
@verb
def command(name: str, patterns: tuple[str, ...], output: Path, yes: bool, dry_run: bool) -> dict[str, Any]:
    """Fetch the public data set NAME (see `hepfm list dataset`), or those of its files that fit a FILE.

    Size and licence are shown first, checksums compared after. A FILE may have wildcards: 'val*'. What was
    interrupted goes on with the same command.
    """
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
        for line in lines:
            click.echo(line, err=True)
        return click.confirm("fetch them?", default=False, err=True)

    paths = get(name, patterns, output=output, agreed=agreed)
    result: dict[str, Any] = {
        "licence": lines[2].rpartition(": ")[2],
        "files": [str(path) for path in paths],
        "lines": [*(lines if yes or dry_run else ()), f"{output}: {len(paths)} files fetched"],
    }
    if paths and source.reader:
        result["next"] = command_line("ingest", source.reader, *paths[:3], "-o", name)
    return result
