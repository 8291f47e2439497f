"""Which weights fine-tuning changes: all, only the heads, a probe, none, or low-rank updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import nn

from hepfm.core.config import Config as BaseConfig
from hepfm.core.registry import Registry
from hepfm.networks.network import Network

if TYPE_CHECKING:
    from hepfm.train.loop import Trainer

STRATEGIES = Registry(
    "mode",
    {
        "full": ("hepfm.train.strategies:Full", "every weight is trained"),
        "frozen": ("hepfm.train.strategies:Frozen", "the backbone is fixed, the heads are trained"),
        "probe": ("hepfm.train.probe:Probe", "logistic regression on features of the fixed backbone"),
        "knn": ("hepfm.train.knn:Knn", "nearest neighbours among the features of the fixed backbone"),
        "lora": ("hepfm.train.lora:Lora", "low-rank updates of the backbone's linear layers (2106.09685)"),
    },
)


class NoStrategyOptions(BaseConfig):
    """A strategy without options."""


class Strategy:
    """The contract. Subclasses are built by ``cls(config)``."""

    Config: ClassVar[type[BaseConfig]] = NoStrategyOptions
    signed_weights: ClassVar[bool] = True
    """Whether it takes negative weights of rows, where the objective does."""
    by_steps: ClassVar[bool] = True
    """Whether it trains by steps of the loop."""

    def __init__(self, config: BaseConfig) -> None:
        self.config = config

    def prepare(self, network: Network) -> None:
        """Freeze or extend the network before the optimizer is made."""

    def fixed(self, network: Network) -> tuple[nn.Module, ...]:
        """Return the modules that stay in evaluation mode (no dropout, fixed statistics) while training."""
        return ()

    def train(self, trainer: Trainer) -> None:
        """Train; the loop by default."""
        trainer.fit()

    def finish(self, network: Network) -> None:
        """Bring the network back to its ordinary architecture before it is saved."""


class Full(Strategy):
    """Train every weight."""


class Frozen(Strategy):
    """Train the heads on features of the fixed backbone."""

    def prepare(self, network: Network) -> None:
        """Freeze the backbone."""
        network.backbone.requires_grad_(False)

    def fixed(self, network: Network) -> tuple[nn.Module, ...]:
        """Return the backbone."""
        return (network.backbone,)
