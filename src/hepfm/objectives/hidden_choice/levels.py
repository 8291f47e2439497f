"""Some objects of an event, or all of one level, as Bumblebee (2412.07867) hides them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

import pydantic
import torch
from torch import Tensor

from hepfm.core.batch import Batch
from hepfm.core.config import Config
from hepfm.core.draws import Draws
from hepfm.core.errors import IncompatibleError
from hepfm.networks.network import Network
from hepfm.objectives.hidden_choice.base import ConfigT, HiddenChoice

LEVEL = "is_generator"
"""The feature that tells the level of an object."""

Share = Annotated[float, pydantic.Field(ge=0, le=1)]


class LevelChoice(HiddenChoice[ConfigT]):
    """Each event is drawn to be of one kind: some objects, one whole level, or nothing is hidden.

    An event that would be hidden whole, because it has objects of one level only, is left as it is.
    """

    @classmethod
    def check(cls, network: Network) -> None:
        """Refuse features without levels."""
        if LEVEL not in network.feature_set.present:
            raise IncompatibleError(
                f"objective.choose hides whole levels of events, and the features "
                f"{network.feature_set.name!r} have no {LEVEL!r}; set data.features to bumblebee or "
                "event_levels, or choose=random"
            )

    @abstractmethod
    def shares(self, progress: float) -> tuple[float, float, float]:
        """Return the shares of events of which some objects, all generator objects, all reconstructed ones
        are hidden, when a part of the training is done."""

    @property
    def number(self) -> float | None:
        """Mean number of objects hidden at random; None for a fraction of them."""
        return None

    def hidden(
        self, batch: Batch, fraction_B: Tensor, number_B: Tensor, network: Network, draws: Draws, name: str
    ) -> Tensor:
        """Return which constituents are hidden, boolean (B, N)."""
        mask_BN = batch.mask_BN
        edges = torch.tensor(self.shares(draws.progress), device=mask_BN.device).cumsum(0)
        kind_B1 = torch.bucketize(draws.rows(batch.rows_B).uniform(f"{name}.kind"), edges, right=True)[
            :, None
        ]
        count_B = mask_BN.sum(1).clamp(min=1)
        each_B = fraction_B if self.number is None else self.number / count_B
        drawn_BN = draws.rows(batch.rows_B).uniform(f"{name}.each", mask_BN.shape[1]) < each_B[:, None]
        generator_BN = batch.features_BNF[..., network.feature_names.index(LEVEL)] > 0.5
        hidden_BN = mask_BN & (
            ((kind_B1 == 0) & drawn_BN) | ((kind_B1 == 1) & generator_BN) | ((kind_B1 == 2) & ~generator_BN)
        )
        return hidden_BN & (mask_BN & ~hidden_BN).any(1, keepdim=True)


class LevelsConfig(Config):
    """Options of `Levels`; of the other events nothing is hidden.

    Attributes
    ----------
    random
        Share of the events of which each object is hidden with the same probability.
    generator, reconstructed
        Shares of the events of which all objects of a level are hidden. The defaults are one version of the
        public code of 2412.07867; another has 0.25 and 0. For fine-tuning: random=0, generator=1.
    number
        Mean number of objects that are hidden at random: of N each with the probability number/N. None takes
        the objective's fraction for the probability.
    """

    random: Share = 0.5
    generator: Share = 0.125
    reconstructed: Share = 0.125
    number: pydantic.PositiveFloat | None = 1.0

    @pydantic.model_validator(mode="after")
    def _check(self) -> LevelsConfig:
        if self.random + self.generator + self.reconstructed > 1 + 1e-9:
            raise ValueError(
                "random, generator, reconstructed are shares of the events; their sum is above 1"
            )
        return self


class Levels(LevelChoice[LevelsConfig]):
    """The same mixture of events in all of the training."""

    Config: ClassVar[type[Config]] = LevelsConfig

    def shares(self, progress: float) -> tuple[float, float, float]:
        """Return the shares of the options."""
        return self.config.random, self.config.generator, self.config.reconstructed

    @property
    def number(self) -> float | None:
        """Mean number of objects hidden at random."""
        return self.config.number
