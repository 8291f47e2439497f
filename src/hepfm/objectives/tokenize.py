"""Training of a tokenizer: constituents to codes and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import pydantic
import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Config as BaseConfig
from hepfm.core.config import resolve_component
from hepfm.core.draws import Draws
from hepfm.core.errors import ConfigError
from hepfm.core.schema import Schema
from hepfm.networks.network import Codes, Network
from hepfm.objectives.base import CLEAN, Objective, Seen, View, row_weights
from hepfm.objectives.loss import Loss, Term, mean
from hepfm.tokenizers import TOKENIZERS
from hepfm.tokenizers.base import Tokenizer


class TokenizeConfig(BaseConfig):
    """Options of `Tokenize`.

    Attributes
    ----------
    tokenizer
        Component spec of the tokenizer.
    """

    tokenizer: str | dict[str, Any] = "vqvae"

    @pydantic.model_validator(mode="after")
    def _check(self) -> TokenizeConfig:
        try:
            resolve_component(TOKENIZERS, self.tokenizer, where="tokenizer", default="vqvae")
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self


class Tokenize(Objective):
    """Squared error of the decoded standardised features, and what moves vectors and codes together.

    In single precision always: with half of it constituents would get other codes. The mean is over all real
    constituents, each with the weight of its row. In the public code of
    OmniJet-alpha padding takes part in it (2403.05618).

    Terms of the loss: ``reconstruction`` (mean squared error over features) and ``quantization``; beside them
    the ``perplexity`` of the codes of a step.
    """

    Config: ClassVar[type[BaseConfig]] = TokenizeConfig
    needs = frozenset({"nothing"})
    trains_tokenizer = True
    lets_through = "everything: what is reconstructed is what is shown, through the code"

    def __init__(self, config: TokenizeConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.config: TokenizeConfig = config
        chosen = resolve_component(TOKENIZERS, config.tokenizer, where="objective.tokenizer", default="vqvae")
        codes = Codes(chosen)
        if network.codes != codes:
            network.add_tokenizer(codes)

    @property
    def tokenizer(self) -> Tokenizer:
        """The network's tokenizer."""
        assert self.network.tokenizer is not None
        return self.network.tokenizer

    def fit(self, batches: Iterable[Batch]) -> None:
        """Let the tokenizer fit its constants."""
        self.tokenizer.fit(
            (self.network.standardize(batch.features_BNF, batch.mask_BN), batch.mask_BN) for batch in batches
        )

    @property
    def random_parts(self) -> bool:
        """Whether codes are moved, or replaced, by what a part of a step holds."""
        return self.tokenizer.reads_parts

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weight of each constituent, that of its row; 0 for padding."""
        batch = views[CLEAN].batch
        weights_BN = batch.mask_BN * row_weights(batch)[:, None]
        return {"reconstruction": weights_BN, "quantization": weights_BN}

    def loss(self, seen: Mapping[str, Seen], draws: Draws) -> Loss:
        """Return the error of the reconstruction and the loss of the quantisation."""
        batch = seen[CLEAN].view.batch
        weights_BN = self.weights({CLEAN: seen[CLEAN].view})["reconstruction"]
        x_BNF = self.network.standardize(batch.features_BNF, batch.mask_BN)
        with torch.autocast(x_BNF.device.type, enabled=False):
            found = self.tokenizer.reconstruct(x_BNF, batch.mask_BN)
        return Loss(
            {
                "reconstruction": mean((found.x_BNF - x_BNF).square().mean(-1), weights_BN),
                "quantization": mean(found.quantization_BN, weights_BN),
                "perplexity": perplexity(found.ids_BN[batch.mask_BN], self.tokenizer.num_codes),
            }
        )

    def after_step(self, step: int) -> None:
        """Let the tokenizer replace dead codes."""
        self.tokenizer.after_step()


def perplexity(ids_T: Tensor, num_codes: int) -> Term:
    """Return exp of the entropy of how often codes are used: their number if all are used alike."""
    used_C = torch.bincount(ids_T, minlength=num_codes).float()
    return Term(used_C, used_C.sum(), weight=0.0, statistic=_exp_entropy)


def _exp_entropy(share_C: Tensor, count: Tensor) -> Tensor:
    return torch.special.entr(share_C).sum().exp()
