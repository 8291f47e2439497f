"""The choice of a learning rate: the fine-tuning with the lowest validation loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hepfm.core.errors import DataError
from hepfm.core.files import read_json
from hepfm.train.run import read_metrics
from hepfm.workflow.folder import RunFolder


def validation_loss(folder: RunFolder) -> float:
    """Return the validation loss of the weights that a finished fine-tuning kept."""
    config = read_json(folder.training / "config.json")
    lines = metrics(folder.training / "metrics.jsonl", "validation")
    if not lines:
        raise DataError(f"{folder.training} was not validated; a search needs validation rows")
    if not config.get("early_stopping"):
        return float(lines[-1]["loss"])
    # Not the lowest: with min_delta a slightly lower loss does not replace the weights that are kept.
    kept = read_json(folder.training / "training.json")["best_step"]
    return float(next(line["loss"] for line in lines if line["step"] == kept))


def metrics(path: Path, kind: str) -> list[dict[str, Any]]:
    """Return the lines of one kind of a ``metrics.jsonl``."""
    return read_metrics(path, kind)


def choose(folders: Sequence[RunFolder]) -> RunFolder:
    """Return the folder with the lowest validation loss among those that finished; the first of equals.

    Raises
    ------
    DataError
        When none finished.
    """
    finished = [folder for folder in folders if folder.facts() is not None]
    if not finished:
        raise DataError(f"none of {', '.join(folder.path.name for folder in folders)} finished")
    return finished[0] if len(finished) == 1 else min(finished, key=validation_loss)


def learning_rate(folder: RunFolder) -> float:
    """Return the learning rate of a fine-tuning run."""
    return float(read_json(folder.training / "config.json")["train"]["optimizer"]["lr"])


def names(folders: Iterable[RunFolder]) -> list[str]:
    """Return the names of runs."""
    return [folder.path.name for folder in folders]
