"""Autoregressive generation: each token is drawn given those before it, until a stop token is drawn."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import IncompatibleError
from hepfm.generators.base import Decoding, Encoder, GeneratedRows, Generator, GeneratorSizes
from hepfm.generators.draw import draw_index
from hepfm.generators.parallel import for_each
from hepfm.generators.vocabulary import Vocabulary
from hepfm.nn.linear import Linear
from hepfm.tokenizers.base import PADDING

_COMPACT = 0.8
"""Finished rows leave the batch once fewer than this fraction of it is still growing."""


class AutoregressiveConfig(BaseConfig):
    """Options of `Autoregressive`; all can be changed without new training.

    Attributes
    ----------
    temperature
        Divides the logits: values below 1 make likely tokens likelier.
    top_k
        Draw only among this number of the likeliest ids; None for all.
    top_p
        Draw only among the likeliest ids whose probabilities sum to at least this (1904.09751).
    batch_size
        Rows generated together; None means up to 256 on a processor and 1024 elsewhere. It changes only
        speed and memory.
    """

    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_k: PositiveInt | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    batch_size: PositiveInt | None = None


class Autoregressive(Generator):
    """Next-token logits from a causal backbone's features, and rows drawn from them (2403.05618).

    A row starts with a vector of its class, or with one for a hidden class. The stop token can be drawn after
    every constituent; a row has at least one constituent and at most `max_constituents`.

    Parameters
    ----------
    config
        Options.
    sizes
        Sizes of the network around it.
    """

    Config: ClassVar[type[BaseConfig]] = AutoregressiveConfig
    sampling_options = ("temperature", "top_k", "top_p", "batch_size")

    def __init__(self, config: AutoregressiveConfig, sizes: GeneratorSizes) -> None:
        super().__init__()
        if not sizes.num_codes:
            raise IncompatibleError(
                "generator autoregressive draws tokens, and this network has no tokenizer; name one in the "
                "recipe's section tokenizer"
            )
        self.config = config
        self.num_classes = sizes.num_classes
        self.max_constituents = sizes.max_constituents
        self.vocabulary = Vocabulary(sizes.num_codes)
        self.start = nn.Embedding(sizes.num_classes + 1, sizes.width)
        self.linear = Linear(sizes.width, sizes.num_codes + 1)

    def starts(self, label_B: Tensor) -> Tensor:
        """Return the first vector of rows, (B, D), by their class; K where the class is hidden."""
        start_BD: Tensor = self.start(label_B)
        return start_BD

    def before(self, features: Features) -> Tensor:
        """Return the features that stand before each constituent and after the last, (B, 1 + N, D).

        `linear` turns them into the logits of what follows.
        """
        assert features.prefix_BKD is not None
        return torch.cat((features.prefix_BKD[:, -1:], features.tokens_BND), dim=1)

    @torch.no_grad()
    def generate(
        self,
        encoder: Encoder,
        label_B: Tensor | None,
        context_BC: Tensor | None,
        generator: torch.Generator,
        options: BaseConfig | None = None,
    ) -> GeneratedRows:
        """Generate rows. All random numbers are drawn first, so that ``batch_size`` changes nothing."""
        config = self.config if options is None else options
        assert isinstance(config, AutoregressiveConfig)
        if label_B is None:
            if context_BC is None:
                raise ValueError("give the class or the context of each row to generate")
            label_B = torch.full((len(context_BC),), self.num_classes, device=context_BC.device)
        device, max_length = label_B.device, self.max_constituents
        uniform_BT = torch.rand(len(label_B), max_length, generator=generator, device=device)
        size = config.batch_size or _batch_size(len(label_B), device)

        def grow(row_R: Tensor) -> tuple[Tensor, Tensor]:
            context_RC = None if context_BC is None else context_BC[row_R]
            decoding = encoder.start_decoding(self.starts(label_B[row_R]), context_RC, max_length)
            codes_RN = self._grow(decoding, uniform_BT[row_R], config)
            codes_RN = codes_RN[:, : int((codes_RN != PADDING).sum(1).max())]
            return codes_RN, decoding.decoded(codes_RN)

        parts = for_each(grow, torch.split(torch.arange(len(label_B), device=device), size), device=device)
        longest = max(codes_RN.shape[1] for codes_RN, _ in parts)
        mask_BN = torch.cat([_lengthen(codes_RN != PADDING, longest) for codes_RN, _ in parts])
        return GeneratedRows(
            torch.cat([_lengthen(x_RNF, longest) for _, x_RNF in parts]), mask_BN, context_BC
        )

    def _grow(self, decoding: Decoding, uniform_RT: Tensor, config: AutoregressiveConfig) -> Tensor:
        """Return the tokens of one batch of rows, (R, T), negative after their stop."""
        rows, max_length = uniform_RT.shape
        vocabulary = self.vocabulary
        ids_RT = torch.full((rows, max_length + 2), vocabulary.padding, device=uniform_RT.device)
        ids_RT[:, 0] = vocabulary.start
        row_A = torch.arange(rows, device=uniform_RT.device)
        alive_A = torch.ones_like(row_A, dtype=torch.bool)
        features_AD = decoding.first_BD
        for place in range(max_length):
            logits_AC = self.linear(features_AD).float()
            if place == 0:
                logits_AC[:, vocabulary.stop] = -math.inf
            drawn_A = draw(logits_AC, uniform_RT[row_A, place], config)
            ids_RT[row_A[alive_A], place + 1] = drawn_A[alive_A]
            alive_A = alive_A & (drawn_A != vocabulary.stop)
            alive = int(alive_A.sum())
            if not alive or place + 1 == max_length:
                break
            if alive < _COMPACT * len(row_A):
                index_R = alive_A.nonzero()[:, 0]
                row_A, drawn_A, alive_A = row_A[index_R], drawn_A[index_R], alive_A[index_R]
                decoding.keep(index_R)
            features_AD = decoding.step(drawn_A.clamp(max=vocabulary.num_codes - 1))
        ids_RT[row_A[alive_A], -1] = vocabulary.stop
        return vocabulary.codes(ids_RT)


def draw(logits_BC: Tensor, uniform_B: Tensor, config: AutoregressiveConfig) -> Tensor:
    """Return one id for each row, drawn with given uniform numbers in [0, 1)."""
    if config.temperature != 1.0:
        logits_BC = logits_BC / config.temperature
    if config.top_k is not None and config.top_k < logits_BC.shape[1]:
        smallest_B1 = logits_BC.topk(config.top_k, dim=-1).values[:, -1:]
        logits_BC = logits_BC.masked_fill(logits_BC < smallest_B1, -math.inf)
    probability_BC = logits_BC.softmax(-1)
    if config.top_p < 1.0:
        sorted_BC, order_BC = probability_BC.sort(dim=-1, descending=True)
        before_BC = sorted_BC.cumsum(-1) - sorted_BC
        kept_BC = torch.zeros_like(probability_BC).scatter(1, order_BC, (before_BC < config.top_p).float())
        probability_BC = probability_BC * kept_BC
    return draw_index(probability_BC, uniform_B)


def _batch_size(rows: int, device: torch.device) -> int:
    """Return a number of rows that divides work among threads; a processor's caches hold at most 256."""
    if device.type != "cpu":
        return 1024
    return min(256, max(-(-rows // torch.get_num_threads()), 1))


def _lengthen(values: Tensor, length: int) -> Tensor:
    """Return rows, (R, N) or (R, N, F), with zeros up to a length."""
    return F.pad(values, (0, 0) * (values.ndim - 2) + (0, length - values.shape[1]))
