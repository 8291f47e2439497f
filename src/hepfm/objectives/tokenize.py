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
from hepfm.core.errors import ConfigError
from hepfm.core.schema import Schema
from hepfm.objectives.base import CLEAN, Loss, Objective, Seen
from hepfm.objectives.network import Codes, Network
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
            resolve_component(TOKENIZERS, self.tokenizer, where="tokenizer")
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self


class Tokenize(Objective):
    """Squared error of the decoded standardised features, and what moves vectors and codes together.

    In single precision always: with half of it constituents would get other codes. The mean is over all real
    constituents, each with the weight of its row. In the public code of
    OmniJet-alpha padding takes part in it (2403.05618).

    Parts of the loss: ``reconstruction`` (mean squared error over features), ``quantization``, and
    ``perplexity`` of the codes of a batch.
    """

    Config: ClassVar[type[BaseConfig]] = TokenizeConfig
    needs = frozenset({"nothing"})
    trains_tokenizer = True

    def __init__(self, config: TokenizeConfig, network: Network, schema: Schema) -> None:
        super().__init__(config, network, schema)
        self.config: TokenizeConfig = config
        codes = Codes(resolve_component(TOKENIZERS, config.tokenizer, where="objective.tokenizer"))
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

    def loss(self, seen: Mapping[str, Seen], generator: torch.Generator) -> Loss:
        """Return the error of the reconstruction and the loss of the quantisation."""
        batch = seen[CLEAN].view.batch
        x_BNF = self.network.standardize(batch.features_BNF, batch.mask_BN)
        with torch.autocast(x_BNF.device.type, enabled=False):
            found = self.tokenizer.reconstruct(x_BNF, batch.mask_BN)
        weight_BN = batch.mask_BN.to(x_BNF.dtype)
        if batch.weights_B is not None:
            weight_BN = weight_BN * batch.weights_B[:, None]
        reconstruction = _mean((found.x_BNF - x_BNF).square().mean(-1), weight_BN)
        quantization = _mean(found.quantization_BN, weight_BN)
        parts = {
            "reconstruction": reconstruction.detach(),
            "quantization": quantization.detach(),
            "perplexity": perplexity(found.ids_BN[batch.mask_BN], self.tokenizer.num_codes),
        }
        return Loss(reconstruction + quantization, parts)

    def after_step(self, step: int) -> None:
        """Let the tokenizer replace dead codes."""
        self.tokenizer.after_step()


def perplexity(ids_T: Tensor, num_codes: int) -> Tensor:
    """Return exp of the entropy of how often codes are used: their number if all are used alike."""
    share_C = torch.bincount(ids_T, minlength=num_codes).float() / max(len(ids_T), 1)
    return torch.special.entr(share_C).sum().exp()


def _mean(values_BN: Tensor, weight_BN: Tensor) -> Tensor:
    return (values_BN * weight_BN).sum() / weight_BN.sum().clamp(min=torch.finfo(weight_BN.dtype).tiny)
