"""Masked modelling: remove constituents and predict them from those that are left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

import pydantic
import torch
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.batch import Batch
from hepfm.core.config import Component, ComponentOf
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.errors import ConfigError
from hepfm.core.schema import Schema
from hepfm.networks.network import Network
from hepfm.nn.attention import key_bias
from hepfm.nn.dynamic_tanh import DynamicTanh
from hepfm.nn.pet_blocks import PetBlock
from hepfm.nn.pooling import row_tokens
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.loss import Loss, mean
from hepfm.objectives.masked_targets import MASKED_TARGETS
from hepfm.objectives.masked_targets.base import MaskedTarget, Removed
from hepfm.objectives.requirements import Requirements
from hepfm.objectives.selection import Selection, constituent_mean, gather_visible, random_ranks

MASKED = "masked"
"""Name of the view from which constituents are removed."""


class MaskedConfig(BaseConfig):
    """Options of `Masked`.

    Attributes
    ----------
    target
        Component spec of what is asked of a removed constituent: ``regression``, ``kmeans`` or ``codes``.
    fraction
        Fraction of each row's constituents that is removed; 0.4 in 2409.12589 and 2606.14870.
    decoder_blocks
        Attention blocks of the decoder; 2 in 2606.14870.
    decoder_width
        Size of its vectors, a multiple of `decoder_heads`; None means the backbone's.
    decoder_heads
        Its attention heads.
    num_ranks
        Learned vectors of the 1st, 2nd, ... removed constituent; those beyond share the last.
    """

    target: Annotated[Component, ComponentOf(MASKED_TARGETS, default="regression")] = pydantic.Field(
        "regression", validate_default=True
    )
    fraction: Annotated[float, pydantic.Field(gt=0, lt=1)] = 0.4
    decoder_blocks: pydantic.PositiveInt = 2
    decoder_width: pydantic.PositiveInt | None = None
    decoder_heads: pydantic.PositiveInt = 4
    num_ranks: pydantic.PositiveInt = 64


class Decoder(nn.Module):
    """Attention over what the backbone made of the visible constituents and a vector for each removed one.

    Parameters
    ----------
    config
        Options.
    width
        D of the backbone.
    """

    def __init__(self, config: MaskedConfig, *, width: int) -> None:
        super().__init__()
        self.width = inner = config.decoder_width or width
        if inner % config.decoder_heads:
            raise ConfigError(
                f"objective 'masked': decoder_heads={config.decoder_heads} does not divide the decoder's "
                f"width {inner}; set decoder_width or decoder_heads"
            )
        self.enter = nn.Linear(width, inner)
        self.ranks_RW = nn.Parameter(torch.randn(config.num_ranks, inner) * 0.02)
        self.blocks = nn.ModuleList(
            PetBlock(inner, num_heads=config.decoder_heads) for _ in range(config.decoder_blocks)
        )
        self.norm = DynamicTanh(inner)

    def forward(self, features: Features, visible_BN: Tensor, removed_BM: Tensor) -> Tensor:
        """Return a vector of each removed constituent, (B, M, W), in falling order of pt."""
        row_BKD = row_tokens(features.tokens_BND, features.pooled_BD, features.registers_BKD)
        seen_BND = self.enter(torch.cat([row_BKD, features.tokens_BND], dim=1))
        rank_M = torch.arange(removed_BM.shape[1], device=removed_BM.device).clamp(max=len(self.ranks_RW) - 1)
        rank_BMW = self.ranks_RW[rank_M].expand(len(removed_BM), -1, -1)
        x_BND = torch.cat([seen_BND, rank_BMW.to(seen_BND.dtype)], dim=1)
        row_BK = visible_BN.new_ones(row_BKD.shape[:2])
        bias = key_bias(torch.cat([row_BK, visible_BN, removed_BM], dim=1), x_BND.dtype)
        for block in self.blocks:
            x_BND = block(x_BND, bias)
        h_BMW: Tensor = self.norm(x_BND[:, seen_BND.shape[1] :])
        return h_BMW


class Masked(Objective[MaskedConfig]):
    """Remove a random fraction of the constituents, and predict each from what is left and its place in pt.

    The masked autoencoder of 2409.12589 as used in 2606.14870: the backbone never sees a placeholder; a
    decoder gets a learned vector for the 1st, 2nd, ... removed constituent in falling order of pt. Of n
    constituents ``round(fraction * n)`` are removed, at least one stays, and a row of one keeps it and has no
    loss. Mean over the removed constituents of each row, then over the rows that have any.

    Term of the loss: ``masked``.
    """

    Config: ClassVar[type[BaseConfig]] = MaskedConfig
    lets_through = (
        "of the removed constituents their number, their places in pt, and the row's axis, the origin of "
        "deta and dphi; context and momenta relative to the row are those of what is left"
    )

    def __init__(self, config: MaskedConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.decoder = Decoder(config, width=network.backbone.width)
        self.target: MaskedTarget = config.target.cls(config.target.config, network, width=self.decoder.width)

    @classmethod
    def requirements(cls, config: MaskedConfig, schema: Schema) -> Requirements:
        """Return that it needs no labels, and allows negative weights."""
        return Requirements(signed_weights=True, views=frozenset({MASKED}))

    def prepare(self, network: Network, batches: Iterable[Batch]) -> None:
        """Fit what the target has to fit."""
        self.target.fit(
            network.standardize(batch.features_BNF, batch.mask_BN)[batch.mask_BN] for batch in batches
        )

    def views(self, network: Network, batch: Batch, draws: Draws) -> dict[str, View]:
        """Return the batch without the removed constituents; `extra` holds those, standardised."""
        ranks_BN = random_ranks(batch, draws, "masked")
        count_B = batch.mask_BN.sum(1)
        num_removed_B = (self.config.fraction * count_B).round().long()
        removed_BN = batch.mask_BN & (
            ranks_BN < torch.minimum(num_removed_B, (count_B - 1).clamp(min=0))[:, None]
        )
        removed = Selection.of(removed_BN)
        x_BNF = network.standardize(batch.features_BNF, batch.mask_BN)
        extra = {"removed": removed.gather(x_BNF), "removed_mask": removed.mask_BM}
        if self.target.reads_codes:
            extra["removed_codes"] = removed.gather(network.encode(batch)[..., None])[..., 0]
        visible_B = torch.full((len(batch),), 1.0 - self.config.fraction, device=x_BNF.device)
        visible = gather_visible(batch, batch.mask_BN & ~removed_BN, network)
        return {MASKED: View(visible, weight_B=visible_B, extra=extra)}

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weights of the rows, 0 for those of which nothing was removed."""
        view = views[MASKED]
        return {MASKED: row_weights(view.batch) * view.extra["removed_mask"].any(1)}

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the target's loss of the removed constituents."""
        view = outputs[MASKED].view
        removed = Removed(view.extra["removed"], view.extra["removed_mask"], view.extra.get("removed_codes"))
        h_BMW = self.decoder(outputs[MASKED].features, view.batch.mask_BN, removed.mask_BM)
        loss_BM = self.target.loss(h_BMW, removed, view.batch, draws)
        loss_B = constituent_mean(loss_BM, removed.mask_BM)
        return Loss({MASKED: mean(loss_B, self.weights({MASKED: view})[MASKED])})
