"""``hepfm push``: a model directory to the Hugging Face hub or to a folder."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from hepfm.core.errors import ConfigError, HepfmError
from hepfm.core.files import atomic_path, output_path, read_json_object, read_text, refuse_other_folder
from hepfm.core.guards import member
from hepfm.core.writable import check_remote
from hepfm.models.check import check
from hepfm.models.folder import CARD, CONFIG, FILES, WEIGHTS, model_directory
from hepfm.models.hub.address import HubAddress, read_address
from hepfm.models.hub.client import Client
from hepfm.models.hub.readme import README, readme

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


@dataclass(frozen=True)
class Pushed:
    """Where a model is now.

    Attributes
    ----------
    address
        Its address, with the commit on the hub.
    files
        Names of what was written.
    """

    address: str
    files: tuple[str, ...]


def push(
    model: str | Path,
    destination: str | Path,
    *,
    revision: str | None = None,
    private: bool = True,
    licence: str | None = None,
    overwrite: bool = False,
) -> Pushed:
    """Copy a model directory as it is to the Hugging Face hub, or to a folder.

    The model is checked first. On the hub its card is also the page of the repository, ``README.md``, with
    front matter: licence, library, tags. The token is ``HF_TOKEN`` of the environment.

    Parameters
    ----------
    model
        The model directory, or a run.
    destination
        ``hf://owner/name``, ``hf://owner/name@branch``, ``file:///folder`` or the path of a folder.
    revision
        The branch of the hub, made if it is not there; the main branch by default.
    private
        Whether a repository that is made is seen by its owner only.
    licence
        Of the model, by its name on the hub, e.g. ``cc-by-4.0``; without it the page names none.
    overwrite
        Replace a model that is there already.

    Returns
    -------
    Pushed
        Where it is now.

    Raises
    ------
    ConfigError
        For an address or a licence that cannot be.
    ModelError
        When the model is damaged, or the hub refuses.
    HepfmError
        When there is a model at the destination already, or no token.
    """
    target = read_address(destination, revision=revision)
    if licence is not None and not _LICENCE.fullmatch(licence):
        raise ConfigError(f"{licence!r} is not the name of a licence on the hub, such as cc-by-4.0 or mit")
    folder = model_directory(model)
    if isinstance(target, HubAddress):
        check_remote(target)
        client = Client()
        check(folder)
        return _to_hub(client, folder, target, private=private, licence=licence, overwrite=overwrite)
    check(folder)
    _to_folder(folder, target, overwrite=overwrite)
    return Pushed(str(target), FILES)


def _to_hub(
    client: Client,
    folder: Path,
    target: HubAddress,
    *,
    private: bool,
    licence: str | None,
    overwrite: bool,
) -> Pushed:
    there = client.find(HubAddress(target.owner, target.name))
    if there is not None and target.revision is not None:
        there = client.find_revision(target)
    if there is not None and CONFIG in there.sizes and not overwrite:
        raise HepfmError(f"{target} holds a model already; replace it with --overwrite, or name another")
    config = read_json_object(folder / CONFIG)
    page = readme(config, read_text(folder / CARD), repository=target.repository, licence=licence)
    files: dict[str, Path | bytes] = {name: member(folder, name) for name in FILES}
    files[README] = page.encode()
    commit = client.store(
        target, files, private=private, message=f"hepfm push: model {config['fingerprint']}"
    )
    return Pushed(str(HubAddress(target.owner, target.name, commit)), tuple(files))


def _to_folder(folder: Path, target: Path, *, overwrite: bool) -> None:
    refuse_model(target, overwrite=overwrite)
    if output_path(target).resolve() == folder.resolve():
        raise HepfmError(f"{target} is the model itself; choose another folder")
    with atomic_path(target) as temporary:
        temporary.mkdir()
        for name in FILES:
            shutil.copyfile(member(folder, name), temporary / name)


def refuse_model(target: Path, *, overwrite: bool) -> None:
    """Raise `HepfmError` if a folder exists and must not be replaced, or is no model directory."""
    refuse_other_folder(target, mark=WEIGHTS, what="model directory")
    path = output_path(target)
    if path.is_dir() and any(path.iterdir()) and not overwrite:
        raise HepfmError(f"{target} holds a model already; replace it with --overwrite, or name another")
