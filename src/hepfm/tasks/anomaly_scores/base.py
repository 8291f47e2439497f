"""The contract of an anomaly score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from hepfm.core.config import Config as BaseConfig
from hepfm.core.errors import ConfigError
from hepfm.metrics.predictions import FloatArray


class AnomalyScore(ABC):
    """A distance from the rows of a bank; nothing is told about their classes.

    Parameters
    ----------
    config
        Options.
    """

    Config: ClassVar[type[BaseConfig]]

    def __init__(self, config: BaseConfig) -> None:
        self.config = config

    @abstractmethod
    def fit(self, bank_RD: FloatArray) -> None:
        """Take the vectors of the bank, shape (R, D); raise `ConfigError` when they are too few."""

    @abstractmethod
    def __call__(self, x_RD: FloatArray) -> FloatArray:
        """Return the score of each row, shape (R,): the higher, the more unlike the bank."""


def check_bank(bank_RD: FloatArray, needed: int, option: str) -> None:
    """Raise `ConfigError` when a bank has fewer rows than an option asks for."""
    if len(bank_RD) < needed:
        raise ConfigError(
            f"the bank has {len(bank_RD)} rows and score.{option} is {needed}; take at most as many, a "
            "larger bank, or a store with more training rows"
        )
