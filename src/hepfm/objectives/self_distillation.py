"""Self-distillation: views of a row get the prototypes that a slower copy of the network gives others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.backbones.base import Placeholder
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
from hepfm.objectives.centre import Centre
from hepfm.objectives.hidden_choice.base import HiddenChoice
from hepfm.objectives.koleo import koleo
from hepfm.objectives.loss import Loss, Term, mean
from hepfm.objectives.masked_hiding.base import shown_mask
from hepfm.objectives.masked_particles import MaskedParticlesConfig, balanced, particle_weights
from hepfm.objectives.requirements import Requirements
from hepfm.objectives.selection import blank_hidden
from hepfm.objectives.sinkhorn import sinkhorn
from hepfm.objectives.subjet_views import KNOWN, subjets_as_constituents
from hepfm.objectives.teacher import Teacher, TeacherConfig
from hepfm.objectives.together import StepRows, Together

ALL = "all"
"""Name of the view of all constituents."""
MASKED_ALL = "masked_all"
"""Name of the view of all constituents but for the hidden ones, which is compared with no other view."""

ROW, PARTICLES = "logits", "particle_logits"
"""In a view's `extra`: the teacher's logits of the row, and of the constituents at each place."""

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
        Of the teacher's at the beginning and after `temperature_warmup`.
    temperature_warmup
        Fraction of all steps in which the teacher's temperature rises, by half a cosine.
    koleo_weight
        Weight of KoLeo of the student's first view; 0 for none.
    masked
        Options of the term of masked particles; None for none. With ``views: augmented`` the student is shown
        both copies with hidden constituents (jBOT), with ``subjets`` one more view, of all constituents
        (RINO).
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
    masked: MaskedParticlesConfig | None = None
    teacher: TeacherConfig = TeacherConfig(momentum=0.996)

    @property
    def taught(self) -> tuple[str, ...]:
        """Names of the views that the teacher sees too."""
        if self.views == "augmented":
            return ("view_1", "view_2")
        return tuple(_kt(number).name for number in self.teacher_subjets)

    @property
    def compared(self) -> tuple[str, ...]:
        """Names of the views that are compared with one another."""
        if self.views == "augmented":
            return self.taught
        return (*self.taught, *(_kt(number).name for number in self.student_subjets), ALL)

    @property
    def masked_views(self) -> tuple[str, ...]:
        """Names of the views in which constituents are hidden."""
        if self.masked is None:
            return ()
        return self.taught if self.views == "augmented" else (MASKED_ALL,)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all views."""
        return tuple(dict.fromkeys((*self.compared, *self.masked_views)))


class Projection(nn.Module):
    """A hidden layer, a layer to normalised vectors, and their products with normalised prototypes."""

    def __init__(self, config: SelfDistillationConfig, *, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, config.hidden), nn.GELU(), nn.Linear(config.hidden, config.outputs)
        )
        prototypes = config.prototypes
        self.prototypes_KE = nn.Parameter(torch.randn(prototypes, config.outputs)) if prototypes else None

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the logits of vectors (..., D), before the temperature, (..., K)."""
        projected = F.normalize(self.layers(vectors), dim=-1)
        if self.prototypes_KE is None:
            return projected
        return projected @ F.normalize(self.prototypes_KE, dim=-1).T


class SelfDistillation(Objective[SelfDistillationConfig]):
    """DINO (2104.14294) for rows: cross-entropy of the teacher's and the student's prototypes of other views.

    Mean over all pairs of a view of the teacher and another one of the student, then over rows. The term of
    masked particles (iBOT) asks for the teacher's prototypes of hidden constituents in the same view: mean
    over those of a view, then over rows and views.

    Terms of the loss: ``distillation``, and ``masked`` and ``koleo`` where they have a weight.
    """

    Config: ClassVar[type[BaseConfig]] = SelfDistillationConfig
    lets_through = (
        "of what a view hides the row's prototypes are asked, and of masked particles theirs; views show the "
        "row's axis, how many particles are hidden, and those of subjets the row's whole momentum"
    )
    progress: Tensor

    def __init__(self, config: SelfDistillationConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.augmentations = [part.cls(part.config) for part in config.augmentations]
        width, logits = network.backbone.width, config.prototypes or config.outputs
        self.projection = Projection(config, width=width)
        self.particle_projection: Projection | None = None
        if config.masked is not None:
            self.choice: HiddenChoice[Any] = config.masked.choose.cls(config.masked.choose.config)
            self.placeholder_D = nn.Parameter(torch.randn(width) * 0.02)
            if config.masked.own_projection:
                self.particle_projection = Projection(config, width=width)
            self.particle_centre = Centre(logits)
        self.teacher = Teacher(config.teacher, *self._followed(network))
        self.centres = nn.ModuleDict({name: Centre(logits) for name in config.taught})
        self.register_buffer("progress", torch.zeros(()))

    @classmethod
    def requirements(cls, config: SelfDistillationConfig, schema: Schema) -> Requirements:
        """Return the views, and the subjets that they are made of."""
        numbers = (*config.teacher_subjets, *config.student_subjets) if config.views == "subjets" else ()
        clusterings = [_kt(number) for number in numbers]
        moves = any(part.cls.moves for part in config.augmentations)
        inputs = {"p4"} if moves or config.views == "subjets" else set()
        if config.masked is not None:
            choice = config.masked.choose
            inputs |= choice.cls.inputs
            clusterings += choice.cls.clusterings(choice.config)
        return Requirements(
            views=frozenset(config.names),
            # A hidden particle is a token of its own.
            groups=frozenset({"shown"} if config.masked is None else ()),
            backbone=frozenset({"placeholder"} if config.masked else ()),
            clusterings=tuple(dict.fromkeys(clusterings)),
            inputs=frozenset(inputs),
        )

    @classmethod
    def check(cls, config: SelfDistillationConfig, network: Network) -> None:
        """Refuse features that cannot be changed, or do not say which constituents are to be hidden."""
        if config.masked is not None:
            config.masked.choose.cls.check(network)
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
        self.teacher.start(*self._followed(network))

    def _followed(self, network: Network) -> tuple[nn.Module, ...]:
        own = self.particle_projection
        return (network, self.projection) if own is None else (network, self.projection, own)

    @torch.no_grad()
    def after_step(self, network: Network, step: int, num_steps: int) -> None:
        """Move the teacher, its centres and its temperature."""
        self.teacher.follow(*self._followed(network), step=step, num_steps=num_steps)
        for module in self.modules():
            if isinstance(module, Centre):
                module.step(self.config.centre_momentum)
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
        batches = {name: self._view(network, batch, draws, name) for name in self.config.names}
        views = {name: View(shown) for name, shown in batches.items()}
        for name in dict.fromkeys((*self.config.taught, *self.config.masked_views)):
            views[name] = self._taught(network, batches[name], draws, name)
        return views

    def _view(self, network: Network, batch: Batch, draws: Draws, name: str) -> Batch:
        if self.config.views == "augmented":
            return augmented(batch, network, self.augmentations, draws, name)
        if name in (ALL, MASKED_ALL):
            return batch
        return subjets_as_constituents(batch, batch.subjets[name], network)

    @torch.no_grad()
    def _taught(self, network: Network, batch: Batch, draws: Draws, name: str) -> View:
        """Return what the student sees of a batch that the teacher sees whole, with the teacher's logits."""
        teacher, projection = self.teacher[0], self.teacher[1]
        assert isinstance(teacher, Network)
        output = apply(teacher, View(batch))
        weights_B = row_weights(batch) * batch.mask_BN.any(1)
        extra = {}
        if name in self.config.taught:
            extra[ROW] = projection(_row(output))
            if self.training:
                self._centre(name).add(extra[ROW], weights_B)
        if name not in self.config.masked_views:
            return View(batch, extra=extra)
        particles_BNK = self.teacher[-1](output.features.tokens_BND)
        if self.training:
            self.particle_centre.add(particles_BNK, weights_B[:, None] * batch.mask_BN)
        blank, behind_BN, rank_BN = blank_hidden(batch, self._hidden(network, batch, draws, name), network)
        extra[PARTICLES] = particles_BNK.gather(1, rank_BN[..., None].expand_as(particles_BNK))
        return View(blank, extra=extra, placeholder=Placeholder(behind_BN, self.placeholder_D, rank_BN))

    def _hidden(self, network: Network, batch: Batch, draws: Draws, name: str) -> Tensor:
        assert self.config.masked is not None
        fraction_B, number_B = self.config.masked.draw(batch, draws.rows(batch.rows_B), name)
        return self.choice.hidden(batch, fraction_B, number_B, network, draws, name)

    def _centre(self, name: str) -> Centre:
        centre = self.centres[name]
        assert isinstance(centre, Centre)
        return centre

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows that have constituents, and of the hidden ones of each."""
        batch = next(iter(views.values())).batch
        any_B = batch.mask_BN.any(1)
        weights = {"distillation": row_weights(batch) * any_B}
        if self.config.masked is not None:
            hidden_VT = [particle_weights(views[name]) for name in self.config.masked_views]
            weights["masked"] = torch.cat(hidden_VT)
        if self.config.koleo_weight:
            weights["koleo"] = any_B.to(weights["distillation"].dtype)
        return weights

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the cross-entropy of all pairs of views, that of masked particles, and KoLeo."""
        weights = self.weights({name: outputs[name].view for name in self.config.names})
        rows = [_row(outputs[name]) for name in self.config.compared]
        student_BSK = _at_least_single(torch.stack([self.projection(row_BD) for row_BD in rows], dim=1))
        taught = [outputs[name].view.extra[ROW] for name in self.config.taught]
        terms: dict[str, Term | Together] = {
            "distillation": self._distillation(
                torch.stack(taught, dim=1).to(student_BSK.dtype), student_BSK, weights["distillation"]
            )
        }
        if self.config.masked is not None:
            terms["masked"] = self._masked(outputs, weights["masked"], weight=self.config.masked.weight)
        if self.config.koleo_weight:
            terms["koleo"] = koleo(
                rows[0].to(student_BSK.dtype), weights["koleo"], weight=self.config.koleo_weight
            )
        return Loss(terms)

    def _masked(self, outputs: Mapping[str, Output], weights_T: Tensor, *, weight: float) -> Term | Together:
        """Return the cross-entropy of the hidden constituents of all masked views."""
        project = self.particle_projection or self.projection
        shown = [outputs[name] for name in self.config.masked_views]
        hidden = [output.view.placeholder.hidden_BN for output in shown if output.view.placeholder]
        both = list(zip(shown, hidden, strict=True))
        student_TK = torch.cat([project(output.features.tokens_BND[hidden_BN]) for output, hidden_BN in both])
        student_TK = _at_least_single(student_TK) / self.config.student_temperature
        teacher_TK = torch.cat([output.view.extra[PARTICLES][hidden_BN] for output, hidden_BN in both])
        teacher_TK = teacher_TK.to(student_TK.dtype)
        if self.config.balance == "centre":
            target_TK = ((teacher_TK - self.particle_centre.mean_K) / self.temperature()).softmax(-1)
            return mean(-(target_TK * student_TK.log_softmax(-1)).sum(-1), weights_T, weight=weight)
        rows = StepRows.of(torch.cat([teacher_TK / self.temperature(), student_TK], dim=1), weights_T)
        return Together(rows, weights_T.sum(), balanced, weight)

    def _distillation(self, teacher_BVK: Tensor, student_BSK: Tensor, weights_B: Tensor) -> Term | Together:
        scale = 1 / self.config.student_temperature
        temperature = self.temperature()
        if self.config.balance == "centre":
            centre_VK = torch.stack([self._centre(name).mean_K for name in self.config.taught])
            target_BVK = ((teacher_BVK - centre_VK) / temperature).softmax(-1)
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


def _row(output: Output) -> Tensor:
    """Return the summary of each row, (B, D), made of what the network was shown."""
    features = output.features
    return summary(features.tokens_BND, features.pooled_BD, features.token_mask(shown_mask(output.view)))


def _at_least_single(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype == torch.bfloat16 else logits


def _kt(number: int) -> Clustering:
    return Clustering("kt", number)
