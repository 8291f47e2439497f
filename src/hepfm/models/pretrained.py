"""The pre-trained models that come with the package, by name: ``hepfm:part-xs``."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from hepfm.core.errors import ModelError, did_you_mean
from hepfm.core.files import read_json_object

PACKAGE = "hepfm:"
"""Start of the address of a model of the package."""

SUMMARY = "summary"
"""What the provenance of a model of the package calls the line that `hepfm list model` shows."""


def is_of_package(address: object) -> bool:
    """Tell whether an address means a model of the package; also one that has passed through `Path`."""
    return str(address).startswith(PACKAGE)


def pretrained_models() -> dict[str, Path]:
    """Return the directories of the models of the package by their names."""
    folder = Path(str(importlib.resources.files("hepfm") / "pretrained"))
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/config.json"))}


def pretrained(address: str | Path) -> Path:
    """Return the directory of a model of the package.

    Parameters
    ----------
    address
        ``hepfm:NAME``.

    Raises
    ------
    ModelError
        When the package has no such model.
    """
    name, known = str(address).removeprefix(PACKAGE), pretrained_models()
    if name not in known:
        raise ModelError(f"{address}: the package has no model {name!r}{did_you_mean(name, known)}")
    return known[name]


def summaries() -> dict[str, str]:
    """Return one line about each model of the package, by its address."""
    return {
        f"{PACKAGE}{name}": str(read_json_object(path / "provenance.json", ModelError).get(SUMMARY, ""))
        for name, path in pretrained_models().items()
    }
