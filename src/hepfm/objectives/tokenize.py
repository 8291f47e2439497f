"""Training of a tokenizer: constituents to codes and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

import pydantic
import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Component, ComponentOf
from hepfm.core.config import Config as BaseConfig
from hepfm.core.draws import Draws
from hepfm.core.schema import Schema
from hepfm.networks.network import Network
from hepfm.networks.specs import TokenizerSpec
from hepfm.objectives.base import Objective, Output, View, row_weights
from hepfm.objectives.loss import Loss, Term, mean
from hepfm.objectives.requirements import CLEAN, Requirements
from hepfm.tokenizers import TOKENIZERS
from hepfm.tokenizers.base import Tokenizer


class TokenizeConfig(BaseConfig):
    """Options of `TrainTokenizer`.

    Attributes
    ----------
    tokenizer
        Component spec of the tokenizer.
    """

    tokenizer: Annotated[Component, ComponentOf(TOKENIZERS, default="vqvae")] = pydantic.Field(
        "vqvae", validate_default=True
    )


class TrainTokenizer(Objective[TokenizeConfig]):
    """Squared error of the decoded standardised features, and what moves vectors and codes together.

    In single precision always: with half of it constituents would get other codes. The mean is over all real
    constituents, each with the weight of its row. In the public code of
    OmniJet-alpha padding takes part in it (2403.05618).

    Terms of the loss: ``reconstruction`` (mean squared error over features) and ``quantization``; beside them
    the ``perplexity`` of the codes of a step.
    """

    Config: ClassVar[type[BaseConfig]] = TokenizeConfig
    lets_through = "everything: what is reconstructed is what is shown, through the code"

    @classmethod
    def requirements(cls, config: TokenizeConfig, schema: Schema) -> Requirements:
        """Return the tokenizer; no backbone is trained."""
        return Requirements(tokenizer=TokenizerSpec(config.tokenizer), trains_backbone=False)

    def prepare(self, network: Network, batches: Iterable[Batch]) -> None:
        """Let the tokenizer fit its constants."""
        _tokenizer(network).fit(
            (network.standardize(batch.features_BNF, batch.mask_BN), batch.mask_BN) for batch in batches
        )

    def random_parts(self, network: Network) -> bool:
        """Tell whether codes are moved, or replaced, by what a part of a step holds."""
        return _tokenizer(network).reads_parts

    def weights(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Return the weight of each constituent, that of its row; 0 for padding."""
        batch = views[CLEAN].batch
        weights_BN = batch.mask_BN * row_weights(batch)[:, None]
        return {"reconstruction": weights_BN, "quantization": weights_BN}

    def loss(self, network: Network, outputs: Mapping[str, Output], draws: Draws) -> Loss:
        """Return the error of the reconstruction and the loss of the quantisation."""
        view, tokenizer = outputs[CLEAN].view, _tokenizer(network)
        batch = view.batch
        weights_BN = self.weights({CLEAN: view})["reconstruction"]
        x_BNF = network.standardize(batch.features_BNF, batch.mask_BN)
        with torch.autocast(x_BNF.device.type, enabled=False):
            decoded = tokenizer.reconstruct(x_BNF, batch.mask_BN)
        return Loss(
            {
                "reconstruction": mean((decoded.x_BNF - x_BNF).square().mean(-1), weights_BN),
                "quantization": mean(decoded.quantization_BN, weights_BN),
                "perplexity": perplexity(decoded.ids_BN[batch.mask_BN], tokenizer.num_codes),
            }
        )

    def after_step(self, network: Network, step: int, num_steps: int) -> None:
        """Let the tokenizer replace dead codes."""
        _tokenizer(network).after_step()


def _tokenizer(network: Network) -> Tokenizer:
    if network.tokenizer is None:
        raise ValueError("objective 'tokenize' is given a network without a tokenizer")
    return network.tokenizer


def perplexity(ids_T: Tensor, num_codes: int) -> Term:
    """Return exp of the entropy of how often codes are used: their number if all are used alike."""
    used_C = torch.bincount(ids_T, minlength=num_codes).float()
    return Term(used_C, used_C.sum(), weight=0.0, statistic=_exp_entropy)


def _exp_entropy(fraction_C: Tensor, count: Tensor) -> Tensor:
    return torch.special.entr(fraction_C).sum().exp()
