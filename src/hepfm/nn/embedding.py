"""Embedding of constituents: normalised features through a small network, one constituent at a time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from hepfm.nn.batchnorm import BatchNorm
from hepfm.nn.linear import Linear


class Embedding(nn.Module):
    """Batch normalisation, then layers of LayerNorm, Linear and GELU (2202.03772, section 4).

    Parameters
    ----------
    num_features
        F.
    widths
        Output sizes of the linear layers; the last is the width of the network.
    """

    def __init__(self, num_features: int, *, widths: Sequence[int]) -> None:
        super().__init__()
        self.norm = BatchNorm(num_features)
        sizes = [num_features, *widths]
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.LayerNorm(inputs), Linear(inputs, outputs), nn.GELU())
                for inputs, outputs in itertools.pairwise(sizes)
            )
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return embedded constituents (..., D) of features (..., F); statistics are of those in the mask."""
        embedded: Tensor = self.layers(self.norm(x, mask))
        return embedded
