"""JEPA: predict what a slower copy of the network makes of hidden tokens from those that are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import pydantic
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.batch import Batch
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.core.schema import Schema
from hepfm.data.feature_names import AXES
from hepfm.groupings.base import Groups
from hepfm.networks.network import Network
from hepfm.nn.pooling import row_tokens, summary
from hepfm.objectives.base import Objective, Output, View, apply, row_weights
from hepfm.objectives.koleo import koleo
from hepfm.objectives.loss import Loss, Term, mean
from hepfm.objectives.predictor import Predictor, PredictorConfig
from hepfm.objectives.requirements import Requirements
from hepfm.objectives.selection import Selection, gather_groups, gather_visible
from hepfm.objectives.sigreg import sigreg
from hepfm.objectives.teacher import Teacher, TeacherConfig
from hepfm.objectives.together import Together
from hepfm.objectives.token_masks import TokenMasksConfig, draw_masks

CONTEXT = "context"
"""Name of the view."""

_Weight = Annotated[float, pydantic.Field(ge=0)]


class JEPAConfig(BaseConfig):
    """Options of `JEPA`.

    Attributes
    ----------
    masks
        How context and targets are drawn; see `hepfm.objectives.token_masks.TokenMasksConfig`.
    mask_at
        ``"input"``: the network sees the context only. ``"output"``: it sees the whole row, and the predictor
        only what it made of the context, as in J-JEPA's public code; this can contain the targets.
    predictor, teacher
        Their options.
    distance
        ``"smooth_l1"`` or ``"mse"`` between predicted and the teacher's latents, mean over their components.
    beta
        Difference from which smooth L1 is linear; 2 in Point-JEPA (2404.16432).
    normalise
        Whether the teacher's latents pass a layer norm without parameters.
    row_weight
        Weight of the same distance for the latent of the whole row; 0 for none.
    koleo_weight, sigreg_weight
        Weights of two terms that spread the vectors of whole rows; 0 for none.
    directions
        Random directions of SIGReg per step.
    """

    masks: TokenMasksConfig = TokenMasksConfig()
    mask_at: Literal["input", "output"] = "input"
    predictor: PredictorConfig = PredictorConfig()
    teacher: TeacherConfig = TeacherConfig(momentum=0.995)
    distance: Literal["smooth_l1", "mse"] = "smooth_l1"
    beta: pydantic.PositiveFloat = 2.0
    normalise: bool = True
    row_weight: _Weight = 0.0
    koleo_weight: _Weight = 0.0
    sigreg_weight: _Weight = 0.0
    directions: pydantic.PositiveInt = 256


class JEPA(Objective[JEPAConfig]):
    """Joint-embedding predictive architecture (2301.08243) over constituents, subjets or patches.

    Tokens are what the network's grouping makes: subjets in J-JEPA (2412.05333), patches in HEP-JEPA
    (2502.03933), constituents in JetParticle-JEPA (2606.14813). The teacher, an average of the network, sees
    the whole row; a predictor is given the network's vectors of the context and the places of the hidden
    tokens. Mean over the tokens of all targets of a row, then over rows that have any.

    Terms of the loss: ``latent``, and those of ``row``, ``koleo`` and ``sigreg`` that have a weight.
    """

    Config: ClassVar[type[BaseConfig]] = JEPAConfig
    lets_through = (
        "of the hidden tokens their number and their places in eta and phi, the row's axis, and of "
        "overlapping patches the constituents shared with shown ones and which centres were chosen; with "
        "mask_at output everything: the network's vectors of the context are made of the whole row"
    )

    def __init__(self, config: JEPAConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        width = network.backbone.width
        self.predictor = Predictor(config.predictor, width=width)
        self.projector = nn.Linear(width, width) if config.sigreg_weight else None
        self.teacher = Teacher(config.teacher, network)
        self.axes = [network.feature_names.index(name) for name in AXES if name in network.feature_names]

    @classmethod
    def requirements(cls, config: JEPAConfig, schema: Schema) -> Requirements:
        """Return that it needs no labels, and trains networks with any grouping."""
        return Requirements(views=frozenset({CONTEXT}), groups=frozenset({"shown", "read"}))

    @classmethod
    def check(cls, config: JEPAConfig, network: Network) -> None:
        """Refuse features without places."""
        if not set(AXES) <= set(network.feature_names):
            raise IncompatibleError(
                f"objective 'jepa' asks for tokens by their places and needs the features "
                f"{' and '.join(AXES)}; choose a feature set of jets"
            )

    def prepare(self, network: Network, batches: Iterable[Batch]) -> None:
        """Give the teacher the network's weights."""
        self.teacher.start(network)

    def after_step(self, network: Network, step: int, num_steps: int) -> None:
        """Move the teacher."""
        self.teacher.follow(network, step=step, num_steps=num_steps)

    @property
    def whole_step(self) -> bool:
        """Whether a term is a statistic of the whole step: KoLeo and SIGReg are."""
        return bool(self.config.koleo_weight or self.config.sigreg_weight)

    def views(self, network: Network, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the context; `extra` holds the teacher's latents of the targets, and places."""
        groups = network.groups(batch)
        mask_BG = batch.mask_BN if groups is None else groups.mask_BG
        place_BG2 = batch.features_BNF[..., self.axes] if groups is None else groups.centre_BG2
        masks = draw_masks(self.config.masks, mask_BG, place_BG2, draws.rows(batch.rows_B))
        context, target = Selection.of(masks.context_BG), Selection.of(masks.target_BTG.flatten(0, 1))
        targets = masks.target_BTG.shape[1]
        latent_BGD, row_BD = self._latents(View(batch, groups=groups), mask_BG)
        extra = {
            "context_index": context.index_BM,
            "context_mask": context.mask_BM,
            "context_place": context.gather(place_BG2),
            "target_place": _gathered(target, place_BG2, targets),
            "target_mask": target.mask_BM.view(len(mask_BG), targets, -1),
            "latent": _gathered(target, latent_BGD, targets),
            "row": row_BD,
        }
        if self.config.mask_at == "output":
            return {CONTEXT: View(batch, groups=groups, extra=extra)}
        shown, groups = _shown(batch, groups, masks.context_BG, network)
        return {CONTEXT: View(shown, groups=groups, extra=extra)}

    @torch.no_grad()
    def _latents(self, view: View, mask_BG: Tensor) -> tuple[Tensor, Tensor]:
        """Return the teacher's latents of tokens and of rows."""
        teacher = self.teacher[0]
        assert isinstance(teacher, Network)
        features = apply(teacher, view).features
        row_BD = summary(features.tokens_BND, features.pooled_BD, mask_BG)
        if not self.config.normalise:
            return features.tokens_BND, row_BD
        width = row_BD.shape[-1:]
        return F.layer_norm(features.tokens_BND, width), F.layer_norm(row_BD, width)

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows, 0 for those without a target; 1 for the spread of rows."""
        view, config = views[CONTEXT], self.config
        targets_B = row_weights(view.batch) * view.extra["target_mask"].flatten(1).any(1)
        any_B = view.extra["context_mask"].any(1).to(targets_B.dtype)
        every = {
            "latent": (1.0, targets_B),
            "row": (config.row_weight, targets_B),
            "koleo": (config.koleo_weight, any_B),
            "sigreg": (config.sigreg_weight, torch.ones_like(any_B)),
        }
        return {name: weights for name, (weight, weights) in every.items() if weight}

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the distance of predicted and teacher's latents, and the spread of rows."""
        view, features = outputs[CONTEXT].view, outputs[CONTEXT].features
        extra, config = view.extra, self.config
        weights = self.weights({CONTEXT: view})
        latent_BTMD, row_BTD = self.predictor(
            row_tokens(features.tokens_BND, features.pooled_BD, features.registers_BKD),
            self._context(features, extra),
            extra["context_mask"],
            extra["context_place"],
            extra["target_mask"],
            extra["target_place"],
        )
        real_BTM = extra["target_mask"]
        loss_BTM = self._distance(latent_BTMD, extra["latent"])
        loss_B = (loss_BTM * real_BTM).flatten(1).sum(1) / real_BTM.flatten(1).sum(1).clamp(min=1)
        terms: dict[str, Term | Together] = {"latent": mean(loss_B, weights["latent"])}
        if config.row_weight:
            row_BT = self._distance(row_BTD, extra["row"][:, None].expand_as(row_BTD))
            terms["row"] = mean(row_BT.mean(1), weights["row"], weight=config.row_weight)
        summary_BD = summary(
            features.tokens_BND, features.pooled_BD, features.token_mask(view.batch.mask_BN)
        ).to(loss_B.dtype)
        if config.koleo_weight:
            terms["koleo"] = koleo(summary_BD, weights["koleo"], weight=config.koleo_weight)
        if self.projector is not None:
            directions = draws.generator("sigreg.directions", summary_BD.device)
            vectors = [self.projector(summary_BD).to(loss_B.dtype)]
            shape = sigreg(vectors, directions=config.directions, generator=directions)
            terms["sigreg"] = replace(shape, weight=config.sigreg_weight)
        return Loss(terms)

    def _context(self, features: Features, extra: Mapping[str, Tensor]) -> Tensor:
        if self.config.mask_at == "input":
            return features.tokens_BND
        return Selection(extra["context_index"], extra["context_mask"]).gather(features.tokens_BND)

    def _distance(self, predicted: Tensor, latent: Tensor) -> Tensor:
        """Return the mean distance over components; in single precision at least."""
        predicted = predicted.float() if predicted.dtype == torch.bfloat16 else predicted
        latent = latent.to(predicted.dtype)
        if self.config.distance == "mse":
            return F.mse_loss(predicted, latent, reduction="none").mean(-1)
        return F.smooth_l1_loss(predicted, latent, reduction="none", beta=self.config.beta).mean(-1)


def _gathered(target: Selection, values_BGF: Tensor, targets: int) -> Tensor:
    """Return the values of the tokens of all targets, (B, T, M, F)."""
    gathered = target.gather(values_BGF.repeat_interleave(targets, 0))
    return gathered.view(len(values_BGF), targets, *gathered.shape[1:])


def _shown(
    batch: Batch, groups: Groups | None, context_BG: Tensor, network: Network
) -> tuple[Batch, Groups | None]:
    if groups is None:
        return gather_visible(batch, context_BG, network), None
    return gather_groups(batch, groups, context_BG, network)
