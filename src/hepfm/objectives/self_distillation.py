"""Self-distillation: views of a row get the prototypes that a slower copy of the network gives others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.batch import Batch
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Schema
from hepfm.data.clustering import Clustering
from hepfm.data.feature_names import AXES
from hepfm.networks.network import Network
from hepfm.nn.pooling import summary
from hepfm.objectives.augmentations.apply import Augmentations, augmented
from hepfm.objectives.base import Objective, Output, View, apply, row_weights
from hepfm.objectives.koleo import koleo
from hepfm.objectives.loss import Loss, Term, mean
from hepfm.objectives.requirements import Requirements
from hepfm.objectives.sinkhorn import sinkhorn
from hepfm.objectives.subjet_views import KNOWN, subjets_as_constituents
from hepfm.objectives.teacher import Teacher, TeacherConfig
from hepfm.objectives.together import StepRows, Together

ALL = "all"
"""Name of the view of all constituents."""

# Widths are at most a tenth. Collinear splitting is left out: in the public code it only removes pt.
JBOT: Any = ("rotation", {"name": "smearing", "scale": 3e-4, "softest": 3e-3, "unit": "row"})
"""What 2601.11719 does to a jet, but for splitting."""


class SelfDistillationConfig(BaseConfig):
    """Options of `SelfDistillation`.

    Attributes
    ----------
    views
        ``"subjets"``: exclusive kT subjets in place of the constituents (RINO, 2509.07486); ``"augmented"``:
        two augmented copies (jBOT, 2601.11719).
    teacher_subjets, student_subjets
        Numbers of subjets of the views that both see, and of those that only the student sees, beside all
        constituents.
    augmentations
        Component specs of what is done to augmented copies; by default jBOT's.
    hidden, outputs
        Sizes of the projection's hidden layer and of its normalised output.
    prototypes
        Number of prototypes; 0 compares the projection's outputs themselves, as in jBOT.
    balance
        What keeps rows from all going to one prototype: ``"centre"``, a moving average that is taken from the
        teacher's logits, or ``"sinkhorn"`` (2006.09882) over all rows of a step.
    centre_momentum
        Of the centre.
    student_temperature
        Of the student's softmax.
    teacher_temperature
        Of the teacher's at the beginning and after `temperature_warmup`, a fraction of the steps; cosine.
    koleo_weight
        Weight of KoLeo of the student's first view; 0 for none.
    teacher
        Options of the teacher.
    """

    views: Literal["subjets", "augmented"] = "augmented"
    teacher_subjets: tuple[pydantic.PositiveInt, ...] = pydantic.Field((1, 2, 3, 4), min_length=1)
    student_subjets: tuple[pydantic.PositiveInt, ...] = (8, 16, 32, 64)
    augmentations: Augmentations = pydantic.Field(JBOT, validate_default=True)
    hidden: pydantic.PositiveInt = 512
    outputs: pydantic.PositiveInt = 64
    prototypes: pydantic.NonNegativeInt = 256
    balance: Literal["centre", "sinkhorn"] = "centre"
    centre_momentum: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.9
    student_temperature: pydantic.PositiveFloat = 0.1
    teacher_temperature: tuple[pydantic.PositiveFloat, pydantic.PositiveFloat] = (0.04, 0.07)
    temperature_warmup: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.3
    koleo_weight: Annotated[float, pydantic.Field(ge=0)] = 0.1
    teacher: TeacherConfig = TeacherConfig(momentum=0.996)

    @property
    def taught(self) -> tuple[str, ...]:
        """Names of the views that the teacher sees too."""
        if self.views == "augmented":
            return ("view_1", "view_2")
        return tuple(_kt(number).name for number in self.teacher_subjets)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all views."""
        if self.views == "augmented":
            return self.taught
        return (*self.taught, *(_kt(number).name for number in self.student_subjets), ALL)


class Projection(nn.Module):
    """A hidden layer, a layer to normalised vectors, and their products with normalised prototypes."""

    def __init__(self, config: SelfDistillationConfig, *, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, config.hidden), nn.GELU(), nn.Linear(config.hidden, config.outputs)
        )
        prototypes = config.prototypes
        self.prototypes_KE = nn.Parameter(torch.randn(prototypes, config.outputs)) if prototypes else None

    def forward(self, row_BD: Tensor) -> Tensor:
        """Return the logits, before the temperature, (B, K)."""
        vector_BE = F.normalize(self.layers(row_BD), dim=-1)
        if self.prototypes_KE is None:
            return vector_BE
        return vector_BE @ F.normalize(self.prototypes_KE, dim=-1).T


class SelfDistillation(Objective[SelfDistillationConfig]):
    """DINO (2104.14294) for rows: cross-entropy of the teacher's and the student's prototypes of other views.

    Mean over all pairs of a view of the teacher and another one of the student, then over rows.

    Terms of the loss: ``distillation``, and ``koleo`` where it has a weight.
    """

    Config: ClassVar[type[BaseConfig]] = SelfDistillationConfig
    lets_through = (
        "nothing is asked of what a view hides but the row's prototypes; views show the row's axis, and "
        "those of subjets its whole momentum"
    )
    progress: Tensor
    centre_VK: Tensor
    sum_VK: Tensor
    count: Tensor

    def __init__(self, config: SelfDistillationConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.augmentations = [part.cls(part.config) for part in config.augmentations]
        self.projection = Projection(config, width=network.backbone.width)
        self.teacher = Teacher(config.teacher, network, self.projection)
        logits = config.prototypes or config.outputs
        self.register_buffer("progress", torch.zeros(()))
        self.register_buffer("centre_VK", torch.zeros(len(config.taught), logits))
        # What the teacher said in this step; empty between steps, so that checkpoints need not hold it.
        self.register_buffer("sum_VK", torch.zeros(len(config.taught), logits), persistent=False)
        self.register_buffer("count", torch.zeros(()), persistent=False)

    @classmethod
    def requirements(cls, config: SelfDistillationConfig, schema: Schema) -> Requirements:
        """Return the views, and the subjets that they are made of."""
        views = frozenset(config.names)
        if config.views == "augmented":
            moves = any(part.cls.moves for part in config.augmentations)
            inputs = frozenset({"p4"} if moves else ())
            return Requirements(views=views, groups=frozenset({"shown"}), inputs=inputs)
        numbers = (*config.teacher_subjets, *config.student_subjets)
        subjets = tuple(_kt(number) for number in numbers)
        return Requirements(
            views=views, groups=frozenset({"shown"}), clusterings=subjets, inputs=frozenset({"p4"})
        )

    @classmethod
    def check(cls, config: SelfDistillationConfig, network: Network) -> None:
        """Refuse features that cannot be changed."""
        if config.views == "augmented":
            for part in config.augmentations:
                part.cls.check(network.feature_names)
            return
        names = set(network.feature_names)
        if names - KNOWN or not set(AXES) <= names:
            raise IncompatibleError(
                "objective 'self_distillation' with views=subjets makes features of jets anew: it needs "
                f"{', '.join(AXES)}, and knows no others than {', '.join(sorted(KNOWN))}; choose a feature "
                "set of jets"
            )

    def prepare(self, network: Network, batches: Iterable[Batch]) -> None:
        """Give the teacher the weights."""
        self.teacher.start(network, self.projection)

    @torch.no_grad()
    def after_step(self, network: Network, step: int, num_steps: int) -> None:
        """Move the teacher, its centres and its temperature."""
        self.teacher.follow(network, self.projection, step=step, num_steps=num_steps)
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(self.sum_VK)
            torch.distributed.all_reduce(self.count)
        if self.count > 0:
            self.centre_VK.lerp_(self.sum_VK / self.count, 1 - self.config.centre_momentum)
        self.sum_VK.zero_()
        self.count.zero_()
        self.progress.fill_(step / num_steps)

    @property
    def whole_step(self) -> bool:
        """Whether a term is a statistic of the whole step: Sinkhorn-Knopp and KoLeo are."""
        return self.config.balance == "sinkhorn" or self.config.koleo_weight > 0

    def temperature(self) -> float:
        """Return the teacher's temperature at this step."""
        start, end = self.config.teacher_temperature
        done = min(1.0, float(self.progress) / max(self.config.temperature_warmup, 1e-9))
        return end - (end - start) * (1 + math.cos(math.pi * done)) / 2

    def views(self, network: Network, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the views; `extra` of those that the teacher sees holds its logits."""
        views = {name: View(self._view(network, batch, draws, name)) for name in self.config.names}
        with torch.no_grad():
            logits = [self._taught(views[name]) for name in self.config.taught]
        if self.training:
            weights_B = (row_weights(batch) * batch.mask_BN.any(1)).to(self.sum_VK.dtype)
            self.sum_VK += torch.stack([weights_B @ each.to(weights_B.dtype) for each in logits])
            self.count += weights_B.sum()
        for name, each in zip(self.config.taught, logits, strict=True):
            views[name] = View(views[name].batch, extra={"logits": each})
        return views

    def _view(self, network: Network, batch: Batch, draws: Draws, name: str) -> Batch:
        if self.config.views == "augmented":
            return augmented(batch, network, self.augmentations, draws, name)
        return batch if name == ALL else subjets_as_constituents(batch, batch.subjets[name], network)

    def _taught(self, view: View) -> Tensor:
        network, projection = self.teacher[0], self.teacher[1]
        assert isinstance(network, Network)
        logits_BK: Tensor = projection(_row(apply(network, view).features, view))
        return logits_BK

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows that have constituents."""
        batch = next(iter(views.values())).batch
        any_B = batch.mask_BN.any(1)
        weights = {"distillation": row_weights(batch) * any_B}
        if self.config.koleo_weight:
            weights["koleo"] = any_B.to(weights["distillation"].dtype)
        return weights

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the cross-entropy of all pairs of views, and KoLeo."""
        views = {name: outputs[name].view for name in self.config.names}
        weights = self.weights(views)
        rows = [_row(outputs[name].features, views[name]) for name in self.config.names]
        student = torch.stack([self.projection(row_BD) for row_BD in rows], dim=1)
        student_BSK = student.float() if student.dtype == torch.bfloat16 else student
        teacher_BVK = torch.stack([views[name].extra["logits"] for name in self.config.taught], dim=1)
        teacher_BVK = teacher_BVK.to(student_BSK.dtype)
        terms: dict[str, Term | Together] = {
            "distillation": self._distillation(teacher_BVK, student_BSK, weights["distillation"])
        }
        if self.config.koleo_weight:
            terms["koleo"] = koleo(
                rows[0].to(student_BSK.dtype), weights["koleo"], weight=self.config.koleo_weight
            )
        return Loss(terms)

    def _distillation(self, teacher_BVK: Tensor, student_BSK: Tensor, weights_B: Tensor) -> Term | Together:
        scale = 1 / self.config.student_temperature
        temperature = self.temperature()
        if self.config.balance == "centre":
            target_BVK = ((teacher_BVK - self.centre_VK) / temperature).softmax(-1)
            return mean(_cross_entropy(target_BVK, (student_BSK * scale).log_softmax(-1)), weights_B)
        logits_BXK = torch.cat([teacher_BVK / temperature, student_BSK * scale], dim=1)
        balanced = partial(_balanced, taught=teacher_BVK.shape[1], views=logits_BXK.shape[1])
        return Together(StepRows.of(logits_BXK.flatten(1), weights_B), weights_B.sum(), balanced)


def _balanced(rows: StepRows, *, taught: int, views: int) -> Tensor:
    """Return the mean loss of the rows of a step; vectors are the logits of teacher and student."""
    logits_RXK, weights_R = rows.vectors_VE.view(len(rows), views, -1), rows.weights_V
    teacher_RVK, student_RSK = logits_RXK[:, :taught].detach(), logits_RXK[:, taught:]
    if not len(rows):
        return student_RSK.sum() * 0.0
    target_RVK = torch.stack([sinkhorn(each_RK, weights_R) for each_RK in teacher_RVK.unbind(1)], dim=1)
    loss_R = _cross_entropy(target_RVK, student_RSK.log_softmax(-1))
    return (loss_R * weights_R).sum() / weights_R.sum()


def _cross_entropy(target_BVK: Tensor, log_BSK: Tensor) -> Tensor:
    """Return the mean cross-entropy over pairs of different views, (B,); views of the teacher come first."""
    loss_BVS = -torch.einsum("bvk,bsk->bvs", target_BVK, log_BSK)
    other_VS = ~torch.eye(loss_BVS.shape[1], loss_BVS.shape[2], dtype=torch.bool, device=loss_BVS.device)
    return loss_BVS[:, other_VS].mean(-1)


def _row(features: Features, view: View) -> Tensor:
    return summary(features.tokens_BND, features.pooled_BD, features.token_mask(view.batch.mask_BN))


def _kt(number: int) -> Clustering:
    return Clustering("kt", number)
