"""Low-rank updates of linear layers (2106.09685), merged into ordinary weights at the end."""

from __future__ import annotations

import math

import pydantic
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hepfm.core.config import Config
from hepfm.core.errors import IncompatibleError
from hepfm.networks.network import Network
from hepfm.train.strategies import Strategy


class LoraConfig(Config):
    """Options of `Lora`.

    Attributes
    ----------
    rank
        Rank r of the update.
    alpha
        The update is scaled by ``alpha / rank``.
    """

    rank: int = pydantic.Field(8, ge=1)
    alpha: float = pydantic.Field(16.0, gt=0.0)


class LowRankUpdate(nn.Module):
    """``W -> W + (alpha / r) B A``, with A uniform and B zero at the start (2106.09685, section 4.1)."""

    def __init__(self, shape: tuple[int, int], config: LoraConfig) -> None:
        super().__init__()
        rows, columns = shape
        rank = min(config.rank, rows, columns)
        self.scale = config.alpha / rank
        self.down = nn.Parameter(torch.empty(rank, columns))
        self.up = nn.Parameter(torch.zeros(rows, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the updated weight."""
        return torch.addmm(weight, self.up, self.down, alpha=self.scale)


class Lora(Strategy):
    """Train low-rank updates of the backbone's linear layers, and the heads.

    The saved model has ordinary weights, into which the updates are merged.
    """

    Config = LoraConfig

    def __init__(self, config: LoraConfig) -> None:
        super().__init__(config)
        self.config: LoraConfig = config

    def prepare(self, network: Network) -> None:
        """Freeze the backbone and add the updates."""
        network.backbone.requires_grad_(False)
        sites = _sites(network.backbone)
        if not sites:
            raise IncompatibleError(
                "mode 'lora' needs linear layers in the backbone, which has none; use mode=full"
            )
        for module, name in sites:
            weight = getattr(module, name)
            parametrize.register_parametrization(
                module, name, LowRankUpdate(tuple(weight.shape), self.config)
            )

    def finish(self, network: Network) -> None:
        """Merge the updates into the weights."""
        for module, name in _sites(network.backbone):
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)


def _sites(backbone: nn.Module) -> list[tuple[nn.Module, str]]:
    return [(module, "weight") for module in backbone.modules() if isinstance(module, nn.Linear)]
