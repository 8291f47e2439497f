"""What a network is equipped with besides its backbone: heads, a tokenizer, a generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hepfm.core.config import Component
from hepfm.core.schema import Field
from hepfm.tokenizers.base import Tokenizer

Inputs = Literal["features", "decoded", "codes"]
"""Input of a backbone for each constituent: its features, those decoded from its token, or the token."""


@dataclass(frozen=True)
class HeadSpec:
    """A head and the field that it predicts.

    Attributes
    ----------
    head
        The head's component.
    field
        The field that is predicted. A categorical field has one output per class, any other one output.
    """

    head: Component
    field: Field

    @property
    def num_outputs(self) -> int:
        """K, the number of outputs."""
        return len(self.field.classes) or 1

    def build(self, width: int) -> Any:
        """Return a new head for features of size `width`."""
        return self.head.cls(self.head.config, width=width, num_outputs=self.num_outputs)


@dataclass(frozen=True)
class GeneratorSpec:
    """A generator and what its rows are conditioned on.

    Attributes
    ----------
    generator
        The generator's component.
    label
        The field whose classes it is conditioned on; None for data without labels.
    max_constituents
        Largest number of constituents of a row.
    """

    generator: Component
    label: Field | None
    max_constituents: int


@dataclass(frozen=True)
class TokenizerSpec:
    """A tokenizer and what the backbone reads.

    Attributes
    ----------
    tokenizer
        The tokenizer's component.
    inputs
        Input of the backbone for each constituent.
    """

    tokenizer: Component
    inputs: Inputs = "features"

    def build(self, feature_names: tuple[str, ...]) -> Tokenizer:
        """Return a new tokenizer of these features."""
        tokenizer: Tokenizer = self.tokenizer.cls(self.tokenizer.config, feature_names=feature_names)
        return tokenizer
