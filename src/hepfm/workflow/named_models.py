"""Model directories that exist: runs name them by what is in them, and keep apart where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hepfm.core.config import fingerprint


def by_contents(
    spec: Mapping[str, Any], options: Sequence[str], *, role: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a component spec with fingerprints of models in place of their paths, and these paths.

    Parameters
    ----------
    spec
        The spec.
    options
        Its options that name model directories; null ones stay null.
    role
        What the component is to the run; its paths are named ``role.option``.

    Raises
    ------
    ModelError
        When there is no such model.
    """
    from hepfm.models.directory import read_config
    from hepfm.models.folder import model_directory

    named, paths = dict(spec), {}
    for option in options:
        if spec.get(option) is not None:
            folder = model_directory(str(spec[option]))
            named[option] = fingerprint(read_config(folder))  # in it are hashes of all files
            paths[f"{role}.{option}"] = str(folder.resolve())
    return named, paths


def at_paths(spec: Mapping[str, Any], paths: Mapping[str, str], *, role: str) -> dict[str, Any]:
    """Return the spec that `by_contents` was given, by the paths that it returned."""
    return {option: paths.get(f"{role}.{option}", value) for option, value in spec.items()}
