"""Assignment: which objects are the daughters of which resonance, learned from the roles of objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component, ComponentOf, resolve_component
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import ConfigError, IncompatibleError
from hepfm.core.schema import Field, Kind, Schema
from hepfm.data.row_selection import Only, RowSelection
from hepfm.heads import HEADS
from hepfm.heads.assignment import AssignmentHead, BranchLogits
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec
from hepfm.nn.attention import masked_logit
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.loss import Loss, logged, mean
from hepfm.objectives.requirements import CLEAN, Requirements
from hepfm.objectives.resonances import Targets, allowed, daughter_types, targets_of
from hepfm.physics.topology import Topology


class AssignmentConfig(BaseConfig):
    """Options of `Assignment`.

    Attributes
    ----------
    resonances
        Daughters by the name of the resonance, of the roles of `hepfm.data.schemas.events.OBJECT_ROLES`:
        ``{t: [b, q, q], tbar: [b, q, q]}``. Daughters of one name are interchangeable.
    alike
        Groups of resonances that nothing tells apart: ``[[t, tbar]]``.
    label
        Field of the objects with their true roles.
    types
        Field of the objects with their types: a b or q is looked for among jets, l among electrons and muons.
    head
        Component spec of the head; its resonances are those of this objective.
    focal_gamma
        Power of (1 - p) that the cross-entropy of an assignment is multiplied by; 1 in EveNet.
    detection_weight
        Weight of the loss of the number of complete resonances.
    only
        A field and one or more of its classes: events of other classes do not count.
    """

    resonances: dict[str, tuple[str, ...]]
    alike: tuple[tuple[str, ...], ...] = ()
    label: str = "object_role"
    types: str = "object_type"
    head: Annotated[Component | dict[str, Any], ComponentOf(HEADS, late=True)] | None = None
    focal_gamma: float = pydantic.Field(1.0, ge=0.0)
    detection_weight: float = pydantic.Field(1.0, ge=0.0)
    only: Only | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> AssignmentConfig:
        Topology.of(self.resonances, self.alike)
        return self


class Assignment(Objective[AssignmentConfig]):
    """Learn which objects the daughters of each resonance are, jointly (2106.03898, 2601.17126).

    Of a resonance whose daughters are all among the objects that the network reads, each once, the loss is
    the focal cross-entropy of the true choice, all orders of interchangeable daughters together; other
    resonances do not count. Resonances that are alike share one distribution, so that their names do not
    matter. Beside it stands the cross-entropy of how many of them are complete, of every event.

    Terms of the loss: ``assignment``, ``detection``; beside them ``accuracy``, the fraction of complete
    resonances whose true choice is the most probable one, or one of the most probable R of R that are alike.
    """

    Config = AssignmentConfig
    lets_through = "everything of the event; roles are not in it, nor types but those among its features"

    def __init__(self, config: AssignmentConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.topology = Topology.of(config.resonances, config.alike)
        self.roles = _roles(config, schema)
        self.types = daughter_types(schema[config.types])
        self.only = _only(config, schema)

    @classmethod
    def requirements(cls, config: AssignmentConfig, schema: Schema) -> Requirements:
        """Return the head, with the resonances of the objective; tokens must be the objects."""
        _roles(config, schema)
        field, only = schema[config.label], _only(config, schema)
        return Requirements(
            labels=(only.field,) if only else (),
            facts=(field.name, config.types),
            heads={field.name: HeadSpec(_head(config), field)},
            rows=only,
            signed_weights=True,
        )

    @classmethod
    def check(cls, config: AssignmentConfig, network: Network) -> None:
        """Refuse features of the generator's objects: these have roles, and no detector saw them."""
        if "is_generator" in network.feature_names:
            raise IncompatibleError(
                f"objective 'assignment': the feature set {network.feature_set.name!r} shows the generator's "
                "objects, whose roles are the answer; set data.features=event"
            )

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of resonances, (B, R), 0 for incomplete ones; and of branches, (B, G)."""
        batch = views[CLEAN].batch
        complete_BR = torch.cat([target.complete_BR for target in self._targets(batch)], dim=1)
        weights_B1 = self._row_weights(batch)[:, None]
        found = {"assignment": weights_B1 * complete_BR}
        if self.config.detection_weight:
            found["detection"] = weights_B1.expand(-1, len(self.topology.branches))
        return found

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the loss of choices and of numbers of complete resonances."""
        output = outputs[CLEAN]
        batch, head = output.view.batch, network.heads[self.config.label]
        assert isinstance(head, AssignmentHead)
        parts, targets = head.parts(output.features, batch.mask_BN), self._targets(batch)
        types_BN = batch.labels[self.config.types]
        losses, right = [], []
        for branch, part, target in zip(self.topology.branches, parts, targets, strict=True):
            may = allowed(branch, types_BN, batch.mask_BN, self.types)
            log_p = _log_probabilities(part, may)
            orders = len(branch.permutations)
            log_BR = log_p.gather(1, target.index_BR) + torch.tensor(float(orders)).log()
            focal_BR = (1 - log_BR.exp()).clamp(min=1e-6) ** self.config.focal_gamma
            losses.append(-log_BR * focal_BR)
            right.append(_among_the_best(log_p, target.index_BR, orders * len(branch.resonances)))
        weights = self.weights({CLEAN: output.view})
        terms = {"assignment": mean(torch.cat(losses, dim=1), weights["assignment"])}
        if self.config.detection_weight:
            counts = [
                F.cross_entropy(part.detection_BR, target.complete_BR.sum(1), reduction="none")
                for part, target in zip(parts, targets, strict=True)
            ]
            terms["detection"] = mean(
                torch.stack(counts, dim=1), weights["detection"], weight=self.config.detection_weight
            )
        terms["accuracy"] = logged(torch.cat(right, dim=1), weights["assignment"])
        return Loss(terms)

    def _targets(self, batch: Batch) -> list[Targets]:
        role_BN, types_BN = batch.labels[self.config.label], batch.labels[self.config.types]
        return [
            targets_of(branch, self.roles, role_BN, types_BN, batch.mask_BN, self.types)
            for branch in self.topology.branches
        ]

    def _row_weights(self, batch: Batch) -> Tensor:
        weights_B = row_weights(batch)
        if self.only is None:
            return weights_B
        label_B = batch.labels[self.only.field]
        return weights_B * torch.isin(label_B, label_B.new_tensor(self.only.numbers))


def _among_the_best(log_p: Tensor, index_BR: Tensor, number: int) -> Tensor:
    """Return 1 where fewer than so many choices are more probable than the true one, else 0, (B, R)."""
    true_BR1 = log_p.gather(1, index_BR)[..., None]
    return ((log_p[:, None] > true_BR1 + 1e-6).sum(-1) < number).float()


def _log_probabilities(part: BranchLogits, may: Tensor) -> Tensor:
    """Return the log probability of every choice, (B, N^D), those that may not be at the least logit."""
    logits = part.joint.masked_fill(~may, masked_logit(part.joint.dtype))
    return logits.flatten(1).log_softmax(1)


def _roles(config: AssignmentConfig, schema: Schema) -> dict[str, dict[str, int]]:
    """Return the classes of the roles; raise `IncompatibleError` unless objects have them."""
    for name in (config.label, config.types):
        if name not in schema:
            raise IncompatibleError(
                f"objective 'assignment' learns the roles of objects, and these data have no {name!r}; "
                "simulate events with truth, or set label and types"
            )
        _check_field(schema[name], schema)
    try:
        return Topology.of(config.resonances, config.alike).roles(schema[config.label].classes)
    except ConfigError as error:
        raise IncompatibleError(f"objective 'assignment': {error}") from None


def _check_field(field: Field, schema: Schema) -> None:
    if field.level is schema.row or field.kind is not Kind.CATEGORICAL:
        raise IncompatibleError(
            f"objective 'assignment' reads roles and types of objects; {field.name!r} is {field.kind} of the "
            f"{field.level}"
        )


def _head(config: AssignmentConfig) -> Component:
    declared = {"resonances": config.resonances, "alike": config.alike}
    head = config.head
    if not isinstance(head, Component):
        both = sorted(set(head or {}) & set(declared))
        if both:
            raise IncompatibleError(
                f"objective 'assignment': declare {', '.join(both)} once, not in its head"
            )
        spec = {"name": "assignment", **(head or {}), **declared}
        head = resolve_component(HEADS, spec, where="objective.head")
    if head.cls.level != "assignment":
        raise IncompatibleError(
            f"objective 'assignment' needs a head of assignments, and {head.name!r} is one of "
            f"{head.cls.level}s; leave its name out, or set head to assignment"
        )
    if any(getattr(head.config, name) != value for name, value in declared.items()):
        raise IncompatibleError(
            "objective 'assignment': its head declares other resonances; leave the head's name out"
        )
    return head


def _only(config: AssignmentConfig, schema: Schema) -> RowSelection | None:
    if config.only is None:
        return None
    return RowSelection.of(config.only, schema, where="the data", error=IncompatibleError)
