"""The files of a model directory: which there are, and that there are no others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hepfm.core.errors import ModelError
from hepfm.core.files import sha256
from hepfm.core.guards import member
from hepfm.models.pretrained import PACKAGE, is_of_package, pretrained

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "card.md"
FIXTURE, PROVENANCE = "fixture.safetensors", "provenance.json"
FILES = (CONFIG, WEIGHTS, FIXTURE, PROVENANCE, CARD)
"""All files of a model directory."""


def model_directory(path: str | Path) -> Path:
    """Return the model directory that is meant: by its own path or that of its run, or by an address.

    Addresses are ``hepfm:name``, a model of the package, and ``hf://owner/name``.

    Raises
    ------
    ModelError
        For a run that has no model yet, or several, and a model that the package or the hub does not have.
    """
    from hepfm.models.hub.address import is_hub  # which is above this module

    if is_of_package(path):
        return pretrained(path)
    if is_hub(path):
        from hepfm.models.hub.pull import cached

        return cached(path)
    folder = Path(path)
    if (folder / WEIGHTS).exists() or not (folder / "metrics.jsonl").exists():
        return folder
    several = sorted(path.name for path in folder.glob("models/*") if (path / WEIGHTS).exists())
    if several:
        raise ModelError(
            f"{path} is a run with a model of each domain; say which: "
            f"{', '.join(str(folder / 'models' / name) for name in several)}"
        )
    if not (folder / "model").is_dir():
        raise ModelError(f"{path} is a run without a model yet; go on with `hepfm resume {path}`")
    return folder / "model"


def place_of(model: str) -> Path:
    """Return the path beside which results of a model lie: its own; of an address its name in this folder."""
    from hepfm.models.hub.address import HubAddress, is_hub, read_address

    if is_of_package(model):
        return Path(model.removeprefix(PACKAGE))
    found = read_address(model) if is_hub(model) else Path(model)
    return Path(found.name) if isinstance(found, HubAddress) else found


def check_files(folder: Path, config: Mapping[str, Any]) -> None:
    """Compare the files of a model directory with its config.

    Raises
    ------
    ModelError
        When a file is missing, altered, no regular file or a link to elsewhere, or is not of the model.
    """
    sums: Mapping[str, str] = config["sha256"]
    unlisted = [name for name in (WEIGHTS, FIXTURE, PROVENANCE) if name not in sums]
    if unlisted:
        raise ModelError(f"{folder / CONFIG} has no SHA-256 of {', '.join(unlisted)}; get a fresh copy")
    for name, expected in sums.items():
        if sha256(member(folder, name, ModelError)) != expected:
            raise ModelError(
                f"{folder / name} was altered: its SHA-256 is not the one in {CONFIG}; get a fresh copy"
            )
    strange = sorted({path.name for path in folder.iterdir()} - {CONFIG, CARD, *sums})
    if strange:
        raise ModelError(
            f"{folder} holds what is not of the model: {', '.join(strange)}; move it elsewhere, the "
            "directory is the model's alone"
        )
