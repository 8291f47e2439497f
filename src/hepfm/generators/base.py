"""The contract of a generator."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config as BaseConfig


@dataclass(frozen=True)
class GeneratorSizes:
    """Sizes of the network that a generator is part of.

    Attributes
    ----------
    width
        D of the backbone.
    num_features
        F.
    num_context
        C, number of context features of a row; 0 for none.
    num_classes
        K; 0 for data without labels.
    num_codes
        Size of the codebook of the network's tokenizer; 0 for a network without one.
    max_constituents
        Largest number of constituents of a row.
    counted
        Whether the last context feature is the row's number of constituents.
    """

    width: int
    num_features: int
    num_context: int
    num_classes: int
    num_codes: int
    max_constituents: int
    counted: bool = True


class Decoding(Protocol):
    """Rows that grow constituent by constituent behind a causal network."""

    first_BD: Tensor
    """Features of the start, from which the first constituent is predicted."""

    def step(self, codes_B: Tensor) -> Tensor:
        """Add a constituent to each row; return its features, (B, D)."""

    def keep(self, index_R: Tensor) -> None:
        """Keep only some of the rows."""

    def decoded(self, codes_BN: Tensor) -> Tensor:
        """Return the standardised features of whole rows of tokens, negative for padding; (B, N, F)."""


class Encoder(Protocol):
    """The network up to the backbone's features, as a generator calls it again and again."""

    def features(
        self, x_BNF: Tensor, mask_BN: Tensor, context_BC: Tensor | None, time_B: Tensor | None
    ) -> Features:
        """Return the features of standardised constituents; `context_BC` is in physical units."""

    def start_decoding(self, start_BD: Tensor, context_BC: Tensor | None, max_length: int) -> Decoding:
        """Start rows of up to `max_length` tokens."""


@dataclass(frozen=True)
class GeneratedRows:
    """Rows from a generator.

    Attributes
    ----------
    x_BNF
        Standardised constituent features; zero where the mask is false.
    mask_BN
        Boolean, True = real; every row has at least one constituent.
    context_BC
        Context features of the rows in physical units; None for a network without context.
    """

    x_BNF: Tensor
    mask_BN: Tensor
    context_BC: Tensor | None


class Generator(nn.Module):
    """Generates rows of given classes. Subclasses are built by ``cls(config, sizes)``."""

    Config: ClassVar[type[BaseConfig]]
    sampling_options: ClassVar[tuple[str, ...]] = ()
    """Options that can be changed without new training."""
    needs_time: ClassVar[bool] = False
    """Whether the backbone has to be conditioned on the time of a noised row."""

    @abstractmethod
    def generate(
        self,
        encoder: Encoder,
        label_B: Tensor | None,
        context_BC: Tensor | None,
        generator: torch.Generator,
        options: BaseConfig | None = None,
    ) -> GeneratedRows:
        """Generate one row for each entry of `label_B` (or of `context_BC`).

        Parameters
        ----------
        encoder
            The network.
        label_B
            Class numbers; None for data without labels.
        context_BC
            Context features in physical units; None draws them from the learned distribution. The number of
            constituents is drawn too, unless it is among them.
        generator
            Source of every random draw.
        options
            The generator's config with other `sampling_options`; its own when None.
        """
