"""What ``pretrain`` and ``resume`` say of a finished training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepfm.cli.advice import after_training
from hepfm.cli.result import TrainedModel

if TYPE_CHECKING:
    from hepfm.train.run import RunResult


def trained(result: RunResult) -> TrainedModel:
    """Return the result of a training, with the model or the models that it left."""
    models = {name: str(path) for name, path in result.models.items()}
    named = [f"model of {name}: {path}" for name, path in models.items()]
    warning = [f"warning: {result.warning}"] if result.warning else []
    return TrainedModel(
        run=str(result.path),
        model=str(result.model_path),
        models=models,
        warning=result.warning or None,
        lines=[*(named or [f"model: {result.model_path}"]), *warning],
        next=after_training(result.path),
    )
