"""Segmentation: find the decays of an event as sets of objects, whatever their number (2601.17126)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pydantic
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Config as BaseConfig
from hepfm.core.config import resolve_component
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError, did_you_mean
from hepfm.core.schema import Kind, Schema
from hepfm.data.targets import SEGMENTS
from hepfm.heads import HEADS
from hepfm.heads.segments import SegmentLogits
from hepfm.heads.segments import Segments as SegmentsHead
from hepfm.networks.network import Network
from hepfm.networks.specs import HeadSpec
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.loss import Loss, Term, logged, mean
from hepfm.objectives.requirements import CLEAN, Requirements

_ALPHA, _GAMMA = 0.25, 2.0
"""Of the focal loss of masks (1708.02002), as published."""

_TERMS = ("mask", "dice", "tag")


class SegmentationConfig(BaseConfig):
    """Options of `Segmentation`.

    Attributes
    ----------
    segments
        By the name of a tag, the segments that have it, each a list of roles:
        ``{t_had: [[t_b, t_q], [tbar_b, tbar_q]], w_had: [[w_q]]}``. An event has a segment when each of its
        roles has at least one object.
    label
        Field of the objects with their true roles.
    head
        Options of the head `hepfm.heads.segments.Segments`, but for its tags.
    auxiliary_weight
        Weight of the same losses before the last block, averaged over blocks; 1 in EveNet, 0 for none.
    """

    segments: Annotated[
        dict[str, Annotated[tuple[tuple[str, ...], ...], pydantic.Field(min_length=1)]],
        pydantic.Field(min_length=1),
    ]
    label: str = "object_role"
    head: dict[str, Any] = pydantic.Field(default_factory=dict)
    auxiliary_weight: float = pydantic.Field(1.0, ge=0.0)


class Segmentation(Objective[SegmentationConfig]):
    """Learn tags and masks of segments; queries are matched with segments anew in each step.

    The match of an event has the smallest sum of costs (Hungarian method): focal loss of the mask, summed
    over objects, dice loss, and minus the probability of the tag. Queries without a segment learn to say
    none.

    Terms of the loss: ``mask`` (focal loss, averaged over objects) and ``dice`` over matched segments,
    ``tag`` (cross-entropy) over queries, the same with ``auxiliary_``; beside them ``tag_accuracy``.
    """

    Config = SegmentationConfig
    lets_through = "everything of the event; roles of objects are not in it"

    def __init__(self, config: SegmentationConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.segments = _segments(config, schema)

    @classmethod
    def check(cls, config: SegmentationConfig, network: Network) -> None:
        """Refuse features of the generator's objects, which have the roles."""
        if "is_generator" in network.feature_names:
            raise IncompatibleError(
                f"objective 'segmentation': the feature set {network.feature_set.name!r} shows the "
                "generator's objects, whose roles are the answer; set data.features=event"
            )

    @classmethod
    def requirements(cls, config: SegmentationConfig, schema: Schema) -> Requirements:
        """Return the head, with the tags of the objective; tokens must be the objects."""
        segments = _segments(config, schema)
        if "tags" in config.head:
            raise IncompatibleError(
                "objective 'segmentation': tags are those of segments; leave head.tags out"
            )
        spec = {"name": "segments", **config.head, "tags": list(config.segments)}
        head = resolve_component(HEADS, spec, where="objective.head")
        queries = getattr(head.config, "queries", 0)
        if len(segments) > queries:
            raise IncompatibleError(
                f"objective 'segmentation': {len(segments)} segments are declared, and an event may have all "
                f"of them, but the head has {queries} queries; set head.queries={len(segments)}"
            )
        return Requirements(
            facts=(config.label,), heads={SEGMENTS.name: HeadSpec(head, SEGMENTS)}, signed_weights=True
        )

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of segments, (B, T), 0 for those that are not there, and of queries, (B,)."""
        batch = views[CLEAN].batch
        weights_B = row_weights(batch)
        there_BT = self._targets(batch)[0]
        each = {"mask": weights_B[:, None] * there_BT, "tag": weights_B}
        each["dice"] = each["mask"]
        found = {name: each[name] for name in _TERMS}
        if self.config.auxiliary_weight:
            found |= {f"auxiliary_{name}": each[name] for name in _TERMS}
        return found

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the losses of the last block, and the mean of those before it."""
        output, head = outputs[CLEAN], network.heads[SEGMENTS.name]
        assert isinstance(head, SegmentsHead)
        batch, weights = output.view.batch, self.weights({CLEAN: output.view})
        *before, last = head.parts(output.features, batch.mask_BN)
        values, right_B = self._values(last, batch)
        terms: dict[str, Term] = {name: mean(values[name], weights[name]) for name in _TERMS}
        if self.config.auxiliary_weight:
            others = [self._values(said, batch)[0] for said in before]
            for name in _TERMS:
                value = torch.stack([other[name] for other in others]).mean(0)
                terms[f"auxiliary_{name}"] = mean(value, weights[name], weight=self.config.auxiliary_weight)
        terms["tag_accuracy"] = logged(right_B, weights["tag"])
        return Loss(terms)

    def _targets(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return which segments an event has, (B, T), and their objects, (B, T, N)."""
        role_BN = batch.labels[self.config.label]
        there, objects = [], []
        for _, roles in self.segments:
            has = [batch.mask_BN & (role_BN == role) for role in roles]
            there.append(torch.stack([one.any(1) for one in has]).all(0))
            objects.append(torch.stack(has).any(0))
        there_BT = torch.stack(there, dim=1)
        return there_BT, torch.stack(objects, dim=1) & there_BT[..., None]

    def _values(self, said: SegmentLogits, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Return the losses of segments, (B, T), and of queries, (B,); the fraction of right tags, (B,)."""
        there_BT, objects_BTN = self._targets(batch)
        tag_T = torch.tensor([tag for tag, _ in self.segments], device=there_BT.device)
        query_BT = matched(said, there_BT, objects_BTN, tag_T, batch.mask_BN)
        index_BTN = query_BT[..., None].expand(-1, -1, objects_BTN.shape[-1])
        logits_BTN = said.object_BQN.gather(1, index_BTN)
        wanted_BTN = objects_BTN.to(logits_BTN.dtype)
        real_BTN = batch.mask_BN[:, None].to(logits_BTN.dtype)
        tag_BQ = torch.zeros(said.tag_BQC.shape[:2], dtype=torch.int64, device=there_BT.device)
        tag_BQ = tag_BQ.scatter_add(1, query_BT, torch.where(there_BT, tag_T, 0))
        entropy_BQ = F.cross_entropy(said.tag_BQC.transpose(1, 2), tag_BQ, reduction="none")
        number_B11 = real_BTN.sum(-1).clamp(min=1)
        values = {
            "mask": (focal(logits_BTN, wanted_BTN) * real_BTN).sum(-1) / number_B11,
            "dice": dice(logits_BTN, wanted_BTN, real_BTN),
            "tag": entropy_BQ.mean(1),
        }
        return values, (said.tag_BQC.argmax(-1) == tag_BQ).float().mean(1)


@torch.no_grad()
def matched(
    said: SegmentLogits, there_BT: Tensor, objects_BTN: Tensor, tag_T: Tensor, mask_BN: Tensor
) -> Tensor:
    """Return the query of each segment, (B, T); each query is of one at most.

    Segments that an event does not have get queries that are left over, at no cost.
    """
    logits_BQ1N, wanted_B1TN = said.object_BQN[:, :, None], objects_BTN[:, None].to(said.object_BQN.dtype)
    real_B11N = mask_BN[:, None, None].to(logits_BQ1N.dtype)
    cost_BQT = (focal(logits_BQ1N, wanted_B1TN) * real_B11N).sum(-1)
    cost_BQT = cost_BQT + dice(logits_BQ1N, wanted_B1TN, real_B11N)
    cost_BQT = cost_BQT - said.tag_BQC.softmax(-1)[:, :, tag_T]
    none_BQ1 = -said.tag_BQC.softmax(-1)[..., :1]
    # Relative to what the query costs without a segment, so that an absent one changes no match.
    cost_BQT = torch.where(there_BT[:, None], cost_BQT - none_BQ1, 0.0)
    costs = cost_BQT.double().cpu().numpy()
    found = np.zeros(there_BT.shape, np.int64)
    for row, cost_QT in enumerate(costs):
        queries, segments = linear_sum_assignment(cost_QT)
        found[row, segments] = queries
    return torch.from_numpy(found).to(there_BT.device)


def focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the focal loss of each logit, alpha = 0.25 and gamma = 2 (1708.02002)."""
    entropy = F.softplus(logits) - logits * wanted
    p = torch.exp(-entropy)
    balance = _ALPHA * wanted + (1 - _ALPHA) * (1 - wanted)
    return balance * entropy * (1 - p) ** _GAMMA


def dice(logits: Tensor, wanted: Tensor, real: Tensor) -> Tensor:
    """Return ``1 - (2 sum p w + 1) / (sum p + sum w + 1)`` over objects, of the shape without these."""
    p = logits.sigmoid() * real
    return 1 - (2 * (p * wanted).sum(-1) + 1) / (p.sum(-1) + wanted.sum(-1) + 1)


def _segments(config: SegmentationConfig, schema: Schema) -> list[tuple[int, tuple[int, ...]]]:
    """Return the number of the tag, from 1, and the roles of each segment."""
    name = config.label
    if name not in schema:
        raise IncompatibleError(
            f"objective 'segmentation' learns the roles of objects, and these data have no {name!r}; "
            "simulate events with truth, or set label"
        )
    field = schema[name]
    if field.level is schema.row or field.kind is not Kind.CATEGORICAL:
        raise IncompatibleError(
            f"objective 'segmentation' reads roles of objects; {name!r} is {field.kind} of the {field.level}"
        )
    return [
        (tag, _roles(roles, field.classes))
        for tag, several in enumerate(config.segments.values(), start=1)
        for roles in several
    ]


def _roles(roles: Sequence[str], classes: Sequence[str]) -> tuple[int, ...]:
    for role in roles:
        if role not in classes:
            raise IncompatibleError(
                f"objective 'segmentation': no object has the role {role!r}{did_you_mean(role, classes)}"
            )
    return tuple(list(classes).index(role) for role in roles)
