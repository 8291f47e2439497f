"""Rows and steps that the laws of an objective are tried with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.draws import Draws
from hepfm.core.schema import Field, Kind, Level, Schema
from hepfm.data import context_set, feature_set
from hepfm.data.features import FeatureSet
from hepfm.data.schemas.events import OBJECT_ROLES, event_schema
from hepfm.data.schemas.jets import JETCLASS_CLASSES, jet_schema
from hepfm.models.fixture import random_batch
from hepfm.objectives.loss import Loss, added
from hepfm.train.learner import Learner

EVENT = Field("event", Level.OBJECT, Kind.COUNT, dtype="int64", description="which rows belong together")
ANSWERS = tuple(
    Field(f"truth_{name}", Level.OBJECT, Kind.CATEGORICAL, dtype="int8", classes=("no", "yes"))
    for name in ("first", "second")
)
SAMPLES = tuple(Field(f"ratio_{name}", Level.OBJECT) for name in ("numerator", "denominator"))
SCHEMA = replace(
    jet_schema(JETCLASS_CLASSES, truth=True, extra=(EVENT, *ANSWERS, *SAMPLES)), group=EVENT.name
)
FEATURES = feature_set("petfull")
TOPS = dict.fromkeys(("t", "tbar"), ("b", "q", "q"))
"""Daughters of the resonances of random events, which all have them."""


@dataclass(frozen=True)
class Rows:
    """What random rows are.

    Attributes
    ----------
    schema, features, context
        Their schema, feature set and context set.
    """

    schema: Schema
    features: FeatureSet
    context: str


JETS = Rows(SCHEMA, FEATURES, "jet")
EVENTS = Rows(event_schema(("first", "second"), truth=True), feature_set("event"), "event")
DRAWS = Draws(1, "test")
ROWS = 16
MEMBERS = 3
"""Rows of a group; the last is a group of its own."""


def loss_of(learner: Learner, batch: Batch) -> Loss:
    """Show the network the views of a batch and return the loss."""
    loss: Loss = learner(learner.views(batch, DRAWS), DRAWS)
    return loss


def frozen(learner: Learner) -> dict[str, Tensor]:
    """Return the parameters of the objective that are not trained, by name."""
    named = learner.objective.named_parameters()
    return {name: weight.detach() for name, weight in named if not weight.requires_grad}


def batch_for(learner: Learner) -> Batch:
    """Return random rows with the labels that the objective needs."""
    batch, schema = random_rows(learner), rows_of(learner).schema
    labels = {}
    for name in learner.requirements.fields:
        field, number = schema[name], torch.arange(len(batch))
        if name in ("object_role", "object_type"):
            labels[name] = _jets_of_tops(batch.mask_BN, roles=name == "object_role")
        elif schema.is_ragged(name):
            place_BN = torch.arange(batch.mask_BN.shape[1]) * number[:, None] % (len(field.classes) or 4)
            labels[name] = torch.where(batch.mask_BN, place_BN, -1)
        else:
            labels[name] = number % len(field.classes) if field.kind is Kind.CATEGORICAL else number.float()
    targets = {one.name: random_target(len(batch), one.shape) for one in learner.requirements.targets}
    return replace(batch, labels=labels, targets=targets, group_B=torch.arange(len(batch)) // MEMBERS)


def _jets_of_tops(mask_BN: Tensor, *, roles: bool) -> Tensor:
    """Return types of objects, jets alone, or their roles: the leading ones are the daughters of two tops."""
    role_BN = torch.zeros_like(mask_BN, dtype=torch.int64)
    if roles:
        names = [f"{name}_{daughter}" for name, daughters in TOPS.items() for daughter in daughters]
        numbers = torch.tensor([OBJECT_ROLES.index(name) for name in names])[: mask_BN.shape[1]]
        role_BN[:, : len(numbers)] = numbers
    return torch.where(mask_BN, role_BN, -1)


def random_target(rows: int, shape: tuple[int, ...]) -> Tensor:
    """Return numbers of rows, whose first says whether there is something."""
    values = torch.randn(rows, *shape, generator=torch.Generator().manual_seed(5))
    values[..., 0] = (values[..., 0] > -0.5).float()
    return values


def rows_of(learner: Learner) -> Rows:
    """Return what the rows are that a learner reads."""
    return EVENTS if learner.network.feature_set.rows == "events" else JETS


def random_rows(learner: Learner) -> Batch:
    """Return random rows with the context and subjets that the learner reads."""
    rows = rows_of(learner)
    context = context_set(rows.context) if learner.network.num_context else None
    clusterings = learner.subjets.clusterings if learner.subjets else ()
    return random_batch(rows.features, context=context, rows=ROWS, clusterings=clusterings)


def exact(learner: Learner) -> Learner:
    """Return the learner in double precision, where sums of parts agree to rounding.

    A tokenizer that is trained works in single precision always.
    """
    return learner if learner.requirements.tokenizer else learner.double()


def weighted_batch(learner: Learner) -> Batch:
    """Return random rows of different weights, in the precision of the learner."""
    batch = replace(batch_for(learner), weights_B=torch.linspace(0.0, 3.0, ROWS))
    if learner.requirements.tokenizer:
        return batch
    return replace(
        changed(batch, lambda values: values.double() if values.is_floating_point() else values),
        context_BC=None if batch.context_BC is None else batch.context_BC.double(),
        weights_B=torch.linspace(0.0, 3.0, ROWS, dtype=torch.float64),
        labels={name: x.double() if x.is_floating_point() else x for name, x in batch.labels.items()},
        targets={name: values.double() for name, values in batch.targets.items()},
    )


def changed(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """Return a batch whose features, mask and momenta are changed."""
    assert batch.p4_BN4 is not None
    return replace(
        batch,
        features_BNF=change(batch.features_BNF),
        mask_BN=change(batch.mask_BN),
        labels={
            name: change(label + 1) - 1 if label.ndim > 1 else label for name, label in batch.labels.items()
        },
        p4_BN4=change(batch.p4_BN4),
        subjets={name: change(number + 1) - 1 for name, number in batch.subjets.items()},
    )


def take(batch: Batch, rows: Tensor) -> Batch:
    """Return some rows of a batch, cut to the longest of them."""
    longest = int(batch.mask_BN[rows].sum(1).max())
    return replace(
        changed(batch, lambda values: values[rows, :longest]),
        rows_B=batch.rows_B[rows],
        group_B=None if batch.group_B is None else batch.group_B[rows],
        context_BC=None if batch.context_BC is None else batch.context_BC[rows],
        labels={
            name: label[rows] if label.ndim == 1 else label[rows, :longest]
            for name, label in batch.labels.items()
        },
        weights_B=None if batch.weights_B is None else batch.weights_B[rows],
        targets={name: values[rows] for name, values in batch.targets.items()},
    )


def step(learner: Learner, parts: Sequence[Batch]) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Return the numbers and the gradient of a step of several parts, as the training loop makes them."""
    learner.zero_grad()
    views = [learner.views(part, DRAWS) for part in parts]
    per_part = [learner.objective.counts(view) for view in views]
    counts = {name: torch.stack([part[name] for part in per_part]).sum() for name in per_part[0]}
    losses = [learner(view, DRAWS) for view in views]
    for group in [losses] if learner.objective.whole_step else [[loss] for loss in losses]:
        added(group).share(counts).backward()  # type: ignore[no-untyped-call]
    gradients = {
        name: weight.grad.clone() for name, weight in learner.named_parameters() if weight.grad is not None
    }
    return added(loss.detached() for loss in losses).numbers(), gradients


def as_shaped(values: Tensor, mask_BN: Tensor) -> Tensor:
    return mask_BN if values.ndim == 2 else mask_BN[..., None]
