"""Hidden layers between the summary of a row and the last layer of a head."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from hepfm.nn.dropout import Dropout
from hepfm.nn.layers import Layers


class HiddenLayers(nn.Module):
    """Layers of Linear, ReLU and dropout; without any layer, dropout alone.

    Parameters
    ----------
    inputs
        Size of the summary.
    widths
        Output sizes of the layers.
    dropout
        Rate.
    """

    def __init__(self, inputs: int, widths: Sequence[int], *, dropout: float) -> None:
        super().__init__()
        self.width = (inputs, *widths)[-1]
        self.layers: Layers[nn.Linear] = Layers(
            [nn.Linear(a, b) for a, b in itertools.pairwise((inputs, *widths))]
        )
        self.dropout = Dropout(dropout)

    def forward(self, x_BD: Tensor) -> Tensor:
        """Return (B, D), D being `width`."""
        if len(self.layers) == 0:
            dropped_BD: Tensor = self.dropout(x_BD)
            return dropped_BD
        for layer in self.layers:
            x_BD = self.dropout(layer(x_BD).relu())
        return x_BD
