"""The contract of a generator."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from hepfm.backbones.base import Features
from hepfm.core.config import Config


class Body(Protocol):
    """The network up to the backbone's features, as a generator calls it again and again."""

    def __call__(
        self, x_BNF: Tensor, mask_BN: Tensor, context_BC: Tensor | None, time_B: Tensor | None
    ) -> Features:
        """Return the features of standardised constituents; `context_BC` is in physical units."""


@dataclass(frozen=True)
class Made:
    """Rows made by a generator.

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
    """Makes rows of given classes. Subclasses are built by

    ``cls(config, width=D, num_features=F, num_context=C, num_classes=K, max_constituents=N)``; `num_classes`
    is 0 for data without labels.
    """

    Config: ClassVar[type[Config]]

    @abstractmethod
    def generate(
        self,
        body: Body,
        label_B: Tensor | None,
        context_BC: Tensor | None,
        generator: torch.Generator,
    ) -> Made:
        """Make one row for each entry of `label_B` (or of `context_BC`).

        Parameters
        ----------
        body
            The network.
        label_B
            Class numbers; None for data without labels.
        context_BC
            Context features in physical units, the number of constituents among them; None draws them from
            what was learned.
        generator
            Source of every random draw.
        """
