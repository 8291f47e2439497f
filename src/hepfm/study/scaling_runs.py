"""What the pre-trainings of a scaling law cost and reached, and whether they reached a plateau."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hepfm.study.folder import StudyFolder
from hepfm.study.plan import Plan, ScaledTraining
from hepfm.workflow.run import Run
from hepfm.workflow.schedule import State
from hepfm.workflow.verbs.base import recipe_of

OVERFIT = 0.02
"""Relative rise of the validation loss from its lowest to the last that is called overfitting."""
FLOPS = 6.0
"""Floating-point operations for a parameter and a constituent, forwards and backwards (2001.08361)."""

IMPROVING, FIRST, OVERFITTED = "still improving", "best at the first validation", "overfits after its best"
NO_PLATEAU = (IMPROVING, FIRST)

_MEASURED_ROWS = 20_000
_EMBEDDING, _BACKBONE = "backbone.embedding.", "backbone."


@dataclass(frozen=True)
class MeasuredTraining:
    """A finished pre-training of a scaling law.

    Attributes
    ----------
    planned
        What it is.
    loss
        Validation loss of the weights that are best in validation.
    losses
        Step and loss of every validation.
    best_step, steps
        Of the best validation, and in all.
    training_rows
        D: different rows that were trained on.
    batch_size
        Rows of a step.
    constituents
        Mean number of constituents of a row that the network reads.
    parameters
        N: weights of the backbone without the embedding of its inputs.
    all_parameters
        Every number of the model, with embedding, heads and constants.
    core_seconds
        Measured, of the whole training with its validations.
    mark
        What is to be said of its plateau; empty for nothing.
    """

    planned: ScaledTraining
    loss: float
    losses: tuple[tuple[int, float], ...]
    best_step: int
    steps: int
    training_rows: int
    batch_size: int
    constituents: float
    parameters: int
    all_parameters: int
    core_seconds: float
    mark: str

    @property
    def epochs(self) -> float:
        """How often each row was seen up to the best validation."""
        return self.best_step * self.batch_size / self.training_rows

    @property
    def constituents_seen(self) -> float:
        """Constituents that were seen up to the best validation, again and again."""
        return self.best_step * self.batch_size * self.constituents

    @property
    def flops(self) -> float:
        """Compute up to the best validation: 6 N for each constituent that was seen."""
        return FLOPS * self.parameters * self.constituents_seen


def measured_trainings(
    plan: Plan, folder: StudyFolder, states: Mapping[str, State]
) -> tuple[MeasuredTraining, ...]:
    """Return the pre-trainings of the scaling law that are finished and were validated."""
    found = [_measured(one, plan, folder) for one in plan.scaled if states[one.run] == "done"]
    return tuple(one for one in found if one is not None)


def _measured(planned: ScaledTraining, plan: Plan, folder: StudyFolder) -> MeasuredTraining | None:
    from hepfm.train.run import RunDirectory, read_metrics

    run, run_folder = plan.runs[planned.run], folder.run(planned.run)
    facts, recipe = run_folder.facts() or {}, recipe_of(folder, run)
    lines = read_metrics(RunDirectory(run_folder.training).metrics, "validation")
    losses = tuple((int(line["step"]), float(line["loss"])) for line in lines)
    if not losses:
        return None
    best_step, loss = _best(losses, facts)
    data, all_parameters = recipe["data"], int(facts["parameters"])
    return MeasuredTraining(
        planned=planned,
        loss=loss,
        losses=losses,
        best_step=best_step,
        steps=int(facts["steps"]),
        training_rows=int(facts["training_rows"]),
        batch_size=int(recipe["train"]["batch_size"]),
        constituents=_mean_constituents(
            data["store"], data["train"], data["features"], data["max_constituents"]
        ),
        parameters=count_parameters(run_folder.model / "model.safetensors"),
        all_parameters=all_parameters,
        core_seconds=run_folder.core_seconds,
        mark=plateau_mark(losses, best_step, patience=(recipe.get("early_stopping") or {}).get("patience")),
    )


def _best(losses: Sequence[tuple[int, float]], facts: Mapping[str, Any]) -> tuple[int, float]:
    """Return step and loss of the best validation, as the training took it."""
    by_step = dict(losses)
    step = int(facts["best_step"])
    return step, by_step[step]


def plateau_mark(losses: Sequence[tuple[int, float]], best_step: int, *, patience: int | None) -> str:
    """Return what is to be said of a training's plateau.

    Parameters
    ----------
    losses
        Step and loss of every validation, by rising step.
    best_step
        Of the best validation.
    patience
        Validations without a better one that end the training; None where it does all its steps, and one is
        enough.

    Examples
    --------
    >>> plateau_mark([(10, 1.0), (20, 0.9), (30, 0.91)], 20, patience=2)
    'still improving'
    >>> plateau_mark([(10, 1.0), (20, 0.9), (30, 0.91), (40, 0.905)], 20, patience=2)
    ''
    >>> plateau_mark([(10, 1.0), (20, 0.9), (30, 1.1), (40, 1.2)], 20, patience=2)
    'overfits after its best'
    """
    after = [loss for step, loss in losses if step > best_step]
    if len(after) < (patience or 1):
        return IMPROVING
    if best_step == losses[0][0]:
        return FIRST
    best = dict(losses)[best_step]
    return OVERFITTED if after[-1] > best + OVERFIT * abs(best) else ""


def count_parameters(path: Path) -> int:
    """Return the weights of the backbone of a model's file, without the embedding of its inputs."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return _counted({name: file.get_slice(name).get_shape() for name in file.keys()})  # noqa: SIM118


def planned_parameters(run: Run) -> int:
    """Return the same of a planned pre-training, whose network is built without memory."""
    import torch

    from hepfm.train.pretraining import new_network
    from hepfm.workflow.verbs.pretrain import Pretrain

    with torch.device("meta"):
        network = new_network(Pretrain().recipe(run), None)
    return _counted({name: value.shape for name, value in network.state_dict().items()})


def _counted(shapes: Mapping[str, Sequence[int]]) -> int:
    kept = [name for name in shapes if name.startswith(_BACKBONE) and not name.startswith(_EMBEDDING)]
    return sum(math.prod(shapes[name]) for name in kept)


@cache
def _mean_constituents(store: str, split: str, features: str, most: int) -> float:
    """Return the mean number of constituents of a row, of which a network reads at most so many."""
    from hepfm.data import feature_set
    from hepfm.data.store import Store

    opened = Store.open(store)
    rows = opened.split(split)[:_MEASURED_ROWS]
    lengths = opened.lengths(opened.schema[feature_set(features).entries].level, rows)
    return float(np.minimum(lengths, most).mean())
