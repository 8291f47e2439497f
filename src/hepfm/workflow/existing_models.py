"""Model directories that exist: runs name them by what is in them."""

from __future__ import annotations

from hepfm.core.config import fingerprint
from hepfm.models.directory import read_config
from hepfm.models.folder import model_directory


def model_name(path: str) -> tuple[str, str]:
    """Return how runs call a model, and where it lies; raise `ModelError` when there is none.

    The name has the hash of its config, in which there are those of all its files.
    """
    folder = model_directory(path)
    return f"model-{fingerprint(read_config(folder))}", str(folder.resolve())
