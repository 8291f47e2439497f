"""``hepfm push``: a model to the Hugging Face hub or to a folder."""

from __future__ import annotations

from dataclasses import dataclass

import click

from hepfm.cli.common import verb
from hepfm.cli.options import overwrite_option, written
from hepfm.cli.result import VerbResult


@dataclass(frozen=True, kw_only=True)
class PushedModel(VerbResult):
    """A model that was copied to another place.

    Attributes
    ----------
    address
        Where it is now, with the commit on the hub.
    files
        Names of the files there.
    """

    address: str
    files: list[str]


@click.command()
@click.argument("model", type=click.Path())
@click.argument("destination", type=written)
@click.option("--revision", help="Branch of the hub; made if it is not there.")
@click.option(
    "--private/--public", default=True, show_default=True, help="Who sees a repository that is made."
)
@click.option("--licence", help="Licence of the model by its name on the hub, e.g. cc-by-4.0.")
@overwrite_option
@verb
def command(
    model: str, destination: str, revision: str | None, private: bool, licence: str | None, overwrite: bool
) -> PushedModel:
    """Copy MODEL to DESTINATION: hf://owner/name, file:///folder, or a folder.

    The token of the hub is the variable HF_TOKEN of the environment.
    """
    from hepfm.cli.advice import command_line
    from hepfm.models.hub.push import push

    done = push(
        model,
        destination,
        revision=revision,
        private=private,
        licence=licence,
        overwrite=overwrite,
    )
    lines = [f"{done.address}: {', '.join(done.files)}"]
    if "README.md" in done.files and licence is None:
        lines.append("note: the page names no licence; give one with --licence")
    return PushedModel(
        address=done.address,
        files=list(done.files),
        lines=lines,
        next=command_line("pull", done.address, "-o", "model"),
    )
