"""Read checkpoint files without executing anything in them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from hepfm.core.errors import ModelError
from hepfm.core.guards import regular_file


def load_plain(path: Path) -> Any:
    """Return what a checkpoint file holds; a file that would need code to be run is refused."""
    if not path.exists():
        raise ModelError(f"no checkpoint file {path}")
    if path.is_dir():
        raise ModelError(f"{path} is a directory; give the checkpoint file (.pt) in it")
    regular_file(path, ModelError)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # about pickle versions; what cannot be read fails below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can fail in any way
        raise ModelError(
            f"{path} is not a plain file of weights: it is damaged, or holds Python objects, which would "
            "need code out of the file to be run (never done here); convert its state dict, saved by itself"
        ) from error
