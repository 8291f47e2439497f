"""``hepfm pull``: a model directory from the Hugging Face hub or from a folder, checked before it is kept."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from hepfm.core.errors import HepfmError, ModelError
from hepfm.core.files import atomic_path, output_path
from hepfm.core.guards import member
from hepfm.models.check import check
from hepfm.models.folder import FILES, model_directory
from hepfm.models.hub.address import HubAddress, read_address
from hepfm.models.hub.client import Client
from hepfm.models.hub.push import refuse_model

_COMMIT = re.compile(r"[0-9a-f]{40}")
_FETCHED = "fetched"


def pull(
    source: str | Path, *, output: str | Path, revision: str | None = None, overwrite: bool = False
) -> Path:
    """Copy a model from the Hugging Face hub or a folder to a model directory.

    Only the files of a model are fetched. Their checksums are compared and the fixture is run, as by
    `hepfm.models.check.check`, before the directory is there: a pull that fails leaves none. The token, for a
    private model, is ``HF_TOKEN`` of the environment.

    Parameters
    ----------
    source
        ``hf://owner/name``, ``hf://owner/name@revision``, ``file:///folder`` or the path of a folder.
    output
        The model directory to write.
    revision
        Branch, tag or commit; the newest of the main branch by default.
    overwrite
        Replace a model that is there already.

    Returns
    -------
    Path
        The model directory.

    Raises
    ------
    ConfigError
        For an address that cannot be.
    ModelError
        When there is no such model, when it cannot be fetched, or when it is damaged.
    HepfmError
        When the output exists and is not to be replaced.
    """
    address = read_address(source, revision=revision)
    target = Path(output)
    refuse_model(target, overwrite=overwrite)
    folder = None if isinstance(address, HubAddress) else model_directory(address)
    if folder is not None and folder.resolve() == output_path(target).resolve():
        raise HepfmError(f"{output} is the model itself; choose another folder")
    with atomic_path(target) as temporary:
        temporary.mkdir()
        if isinstance(address, HubAddress):
            _fetch(address, temporary)
        elif folder is not None:
            for name in FILES:
                shutil.copyfile(member(folder, name, ModelError), temporary / name)
        check(temporary)
    return target


def cached(address: str | Path) -> Path:
    """Return the model directory of a model of the hub, fetched once for each of its commits.

    It lies in ``hepfm/models`` of the user's cache (``XDG_CACHE_HOME``). With a commit as revision nothing is
    asked of the hub once it is there.

    Raises
    ------
    ModelError
        As `pull` does.
    """
    found = read_address(address)
    assert isinstance(found, HubAddress)
    commit = found.revision
    if commit is None or not _COMMIT.fullmatch(commit):
        there = Client().find(found)
        if there is None:
            raise _absent(found)
        commit = there.commit
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "hepfm" / "models" / found.owner / found.name / commit
    if not folder.is_dir():
        pull(str(HubAddress(found.owner, found.name, commit)), output=folder)
    return folder


def _fetch(address: HubAddress, folder: Path) -> None:
    """Fetch the files of a model into a folder, all of one commit."""
    client = Client()
    there = client.find(address)
    if there is None:
        raise _absent(address)
    missing = [name for name in FILES if name not in there.sizes]
    if missing:
        raise ModelError(
            f"{address} is not a model of hepfm: it has no {', '.join(missing)}; models of other packages "
            "are read by `hepfm convert`"
        )
    _refuse_full(folder, sum(there.sizes[name] or 0 for name in FILES), address)
    for path in client.fetch(address, there.commit, FILES, folder / _FETCHED):
        if path.is_symlink() or path.resolve().parent != (folder / _FETCHED).resolve():
            raise ModelError(f"{address}: the library put {path.name} elsewhere")
        path.rename(folder / path.name)
    shutil.rmtree(folder / _FETCHED)


def _refuse_full(folder: Path, needed: int, address: HubAddress) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelError(f"{address}: {needed / 1e9:.3g} GB are needed and {free / 1e9:.3g} GB free")


def _absent(address: HubAddress) -> ModelError:
    return ModelError(
        f"the hub has no model {address.repository}, or it is private and HF_TOKEN is not the token of one "
        "who may see it"
    )
