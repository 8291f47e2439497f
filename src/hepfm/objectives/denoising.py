"""Denoising: some objects of an event are noised, and their noise is predicted from what is left of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

import pydantic
import torch
from torch import Tensor, nn

from hepfm.backbones.base import Features, Modulation
from hepfm.core.batch import Batch
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.schema import Schema
from hepfm.networks.network import Network
from hepfm.nn.attention import key_bias
from hepfm.nn.blocks import PreNormBlock
from hepfm.nn.cosine_schedule import noised, signal_and_noise
from hepfm.nn.layers import Layers
from hepfm.nn.object_time import ObjectTime, TimeVector
from hepfm.nn.pooling import summary
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.flow_matching import NOISED
from hepfm.objectives.generation import conditioning_classes, conditioning_field
from hepfm.objectives.loss import Loss, mean
from hepfm.objectives.requirements import Requirements

_Probability = Annotated[float, pydantic.Field(ge=0, le=1)]


class DenoisingConfig(BaseConfig):
    """Options of `Denoising`; the defaults are those of 2601.17126, stage 1.

    Attributes
    ----------
    noised
        Probability with which each object is noised, at the first and at the last step of the training;
        between them it rises evenly.
    label
        A categorical field of the rows that the prediction is told; None tells it none. EveNet tells the
        process, and takes the first one where there is none.
    label_dropout
        Probability per row of training with which the class is hidden; a hidden one has a vector of its own.
    num_blocks, num_heads
        Blocks of attention between the network's features and the prediction, and their heads.
    """

    noised: tuple[_Probability, _Probability] = (0.1, 1.0)
    label: str | None = None
    label_dropout: _Probability = 0.1
    num_blocks: pydantic.PositiveInt = 1
    num_heads: pydantic.PositiveInt = 4


class Denoising(Objective[DenoisingConfig]):
    """Diffusion of single objects among others that are shown as they are (EveNet, 2601.17126).

    With standardised features x of an object, noise eps ~ N(0, 1) and a time t ~ U(0, 1) of the row, noised
    objects are shown as ``alpha x + sigma eps``, all features alike, and the prediction is asked for ``v =
    alpha eps - sigma x``; see `hepfm.nn.cosine_schedule`. The vectors of noised objects are scaled and
    shifted by the time, so that the network knows which these are.

    Terms of the loss: ``v``, the squared error averaged over features and noised objects.
    """

    Config: ClassVar[type[BaseConfig]] = DenoisingConfig
    lets_through = (
        "of a noised object its noised features, the time, and its place in the order of pt; of the event "
        "what the other objects give; momenta of noised objects are not shown"
    )
    progress: Tensor

    def __init__(self, config: DenoisingConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        width = network.backbone.width
        self.field = conditioning_field(config.label, schema, objective="denoising")
        self.register_buffer("progress", torch.zeros((), dtype=torch.float64))
        self.object_time = ObjectTime(width)
        num_classes = len(self.field.classes) if self.field else 0
        self.decoder = NoiseDecoder(
            config, width=width, num_classes=num_classes, num_features=len(network.feature_names)
        )

    @classmethod
    def requirements(cls, config: DenoisingConfig, schema: Schema) -> Requirements:
        """Return the field of the class, if one is told."""
        field = conditioning_field(config.label, schema, objective="denoising")
        return Requirements(
            labels=(field.name,) if field else (), signed_weights=True, views=frozenset({NOISED})
        )

    @property
    def probability(self) -> float:
        """With which each object is noised now."""
        first, last = self.config.noised
        return first + (last - first) * float(self.progress)

    def after_step(self, network: Network, step: int, num_steps: int) -> None:
        """Note how far the training has come."""
        self.progress.fill_(step / max(num_steps, 1))

    def views(self, network: Network, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the copy with noised objects; its weight is alpha^2, its `extra` holds v and which these
        are."""
        x_BNF = network.standardize(batch.features_BNF, batch.mask_BN)
        row = draws.rows(batch.rows_B)
        time_B = row.uniform("denoising.time").to(x_BNF.dtype)
        chosen_BN = row.uniform("denoising.objects", x_BNF.shape[1]) < self.probability
        chosen_BN = chosen_BN & batch.mask_BN
        noise_BNF = row.normal("denoising.noise", *x_BNF.shape[1:]).to(x_BNF.dtype)
        z_BNF, v_BNF = noised(x_BNF, noise_BNF, time_B[:, None, None])
        x_BNF = torch.where(chosen_BN[..., None], z_BNF, x_BNF)
        time_BN = time_B[:, None] * chosen_BN
        shown = self._shown(network, batch, x_BNF, batch.mask_BN & ~chosen_BN)
        extra = {"v": v_BNF, "noised": chosen_BN, "time": time_BN}
        modulation = Modulation(*self.object_time(time_BN))
        weight_B = signal_and_noise(time_B)[0].square()
        return {NOISED: View(shown, weight_B=weight_B, extra=extra, modulation=modulation)}

    def _shown(self, network: Network, batch: Batch, x_BNF: Tensor, clean_BN: Tensor) -> Batch:
        """Return the batch with other features; momenta and context are those of the clean objects alone."""
        p4_BN4 = None if batch.p4_BN4 is None else batch.p4_BN4 * clean_BN[..., None]
        return replace(
            batch,
            features_BNF=network.standardize.inverse(x_BNF, batch.mask_BN),
            p4_BN4=p4_BN4,
            subjets={},
            context_BC=network.visible_context(batch.context_BC, clean_BN, p4_BN4),
        )

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the objects, 0 for those that are not noised."""
        view = views[NOISED]
        return {"v": view.extra["noised"] * row_weights(view.batch)[:, None]}

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the error of the predicted v."""
        output = outputs[NOISED]
        view, batch = output.view, output.view.batch
        dropout = self.config.label_dropout if self.training else 0.0
        label_B = conditioning_classes(batch, self.field, dropout=dropout, draws=draws)
        v_BNF = self.decoder(output.features, batch.mask_BN, view.extra["time"], label_B)
        error_BN = (v_BNF - view.extra["v"]).square().mean(-1)
        return Loss({"v": mean(error_BN, self.weights({NOISED: view})["v"])})


class NoiseDecoder(nn.Module):
    """From the features of objects and of the event to v of each object.

    Parameters
    ----------
    config
        Options of the objective.
    width, num_classes, num_features
        D of the backbone, classes that are told (0 for none), F.
    """

    def __init__(self, config: DenoisingConfig, *, width: int, num_classes: int, num_features: int) -> None:
        super().__init__()
        self.time = TimeVector(width)
        self.condition = nn.Sequential(
            nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.GELU()
        )
        self.label = nn.Embedding(num_classes + 1, width) if num_classes else None
        self.blocks: Layers[PreNormBlock] = Layers(
            [
                PreNormBlock(width, num_heads=config.num_heads, ratio=2, dropout=0.0)
                for _ in range(config.num_blocks)
            ]
        )
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, num_features)

    def forward(self, features: Features, mask_BN: Tensor, time_BN: Tensor, label_B: Tensor) -> Tensor:
        """Return v, (B, N, F), in single precision at least; label K stands for a hidden class."""
        event_BD = summary(features.tokens_BND, features.pooled_BD, mask_BN)
        time_BND = self.time(time_BN)
        event_BND = event_BD[:, None].expand_as(time_BND).to(time_BND.dtype)
        condition_BND = self.condition(torch.cat((time_BND, event_BND), dim=-1))
        if self.label is not None:
            condition_BND = condition_BND + self.label(label_B)[:, None]
        x_BND = features.tokens_BND + condition_BND
        bias = key_bias(mask_BN, x_BND.dtype)
        for block in self.blocks:
            x_BND = block(x_BND, bias)
        v_BNF: Tensor = self.linear(self.norm(x_BND))
        return v_BNF if v_BNF.dtype is torch.float64 else v_BNF.float()
