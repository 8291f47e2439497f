"""``hepfm pull``: a model from the Hugging Face hub or from a folder."""

from __future__ import annotations

import click

from hepfm.cli.common import verb
from hepfm.cli.options import overwrite_option
from hepfm.cli.result import CopiedModel


@click.command()
@click.argument("source")
@click.option("-o", "--output", required=True, type=click.Path(), help="Model directory to write.")
@click.option("--revision", help="Branch, tag or commit of the hub; the newest by default.")
@overwrite_option
@verb
def command(source: str, output: str, revision: str | None, overwrite: bool) -> CopiedModel:
    """Copy the model at SOURCE to a model directory, and check it.

    SOURCE is hf://owner/name, hf://owner/name@revision, file:///folder, or a folder. The token for a private
    model is the variable HF_TOKEN of the environment.
    """
    from hepfm.cli.advice import command_line
    from hepfm.models.hub.pull import pull

    path = pull(source, output=output, revision=revision, overwrite=overwrite)
    return CopiedModel(
        model=str(path),
        lines=[f"{path}: checksums and fixture are right"],
        next=command_line("show", str(path)),
    )
