"""What pre-training, tokenizing and fine-tuning share: starting or resuming, and the facts of a training."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from hepfm.core.files import read_json
from hepfm.workflow.folder import RunFolder
from hepfm.workflow.run import Values


def train(folder: RunFolder, start: Callable[[Path], object]) -> Values:
    """Train from the last checkpoint of a stopped attempt, or from the start; return the facts."""
    from hepfm.train.resume import resume
    from hepfm.train.run import RunDirectory

    if not folder.model.exists():
        if (folder.training / "config.json").exists() and not RunDirectory(folder.training).failed_at_start:
            resume(folder.training)
        else:
            folder.clear(folder.training)
            start(folder.training)
    return training_facts(folder)


def training_facts(folder: RunFolder) -> Values:
    """Return steps, rows seen and parameters of a finished training."""
    from hepfm.train.run import RunDirectory

    length = read_json(RunDirectory(folder.training).length)
    return {
        "steps": length["steps"] or 0,
        "rows": length["rows_seen"] or 0,
        "best_step": length["best_step"],
        "training_rows": length["training_rows"],
        "parameters": _count_parameters(folder.model / "model.safetensors"),
    }


def _count_parameters(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    return sum(math.prod(shape) for shape in shapes)
