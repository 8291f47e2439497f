"""Learning-rate schedules by name: pure functions from the step to a factor of the peak rate."""

from __future__ import annotations

import math
from typing import Protocol

import pydantic

from hepfm.core.config import Config
from hepfm.core.registry import Registry

SCHEDULES = Registry(
    "schedule",
    {
        "constant": ("hepfm.train.schedules:Constant", "linear warm-up, then constant"),
        "linear": ("hepfm.train.schedules:LinearDecay", "linear warm-up, then linear decay"),
        "cosine": ("hepfm.train.schedules:Cosine", "linear warm-up, then half a cosine down (1608.03983)"),
        "wsd": (
            "hepfm.train.schedules:WarmupStableDecay",
            "linear warm-up, constant, exponential decay at the end",
        ),
    },
)


class Schedule(Protocol):
    """What a schedule does."""

    def factor(self, step: int, steps: int) -> float:
        """Return the factor of step `step` in ``[0, steps)``."""


class ConstantConfig(Config):
    """Options of `Constant`.

    Attributes
    ----------
    warmup
        Fraction of all steps in which the rate rises linearly from 0.
    """

    warmup: float = pydantic.Field(0.0, ge=0.0, le=1.0)


class Constant:
    """Linear warm-up, then 1."""

    Config = ConstantConfig

    def __init__(self, config: ConstantConfig) -> None:
        self.config = config

    def factor(self, step: int, steps: int) -> float:
        """Return the factor of a step.

        >>> Constant(ConstantConfig()).factor(7, 10)
        1.0
        """
        return _warmup(step, self.config.warmup * steps)


class LinearDecayConfig(Config):
    """Options of `LinearDecay`.

    Attributes
    ----------
    warmup
        Fraction of all steps in which the rate rises linearly from 0.
    final
        Factor of the rate at the end.
    """

    warmup: float = pydantic.Field(0.05, ge=0.0, le=1.0)
    final: float = pydantic.Field(0.0, ge=0.0, le=1.0)


class LinearDecay:
    """Linear warm-up to 1, then linear decay to `final`."""

    Config = LinearDecayConfig

    def __init__(self, config: LinearDecayConfig) -> None:
        self.config = config

    def factor(self, step: int, steps: int) -> float:
        """Return the factor of a step.

        >>> schedule = LinearDecay(LinearDecayConfig(warmup=0.0))
        >>> [round(schedule.factor(step, 100), 2) for step in (0, 50, 99)]
        [1.0, 0.5, 0.01]
        """
        warm = self.config.warmup * steps
        done = min(max(0.0, step - warm) / max(1.0, steps - warm), 1.0)
        return _warmup(step, warm) * (1.0 - done * (1.0 - self.config.final))


class CosineConfig(Config):
    """Options of `Cosine`.

    Attributes
    ----------
    warmup
        Fraction of all steps in which the rate rises linearly from 0.
    final
        Factor of the rate at the end.
    """

    warmup: float = pydantic.Field(0.05, ge=0.0, le=1.0)
    final: float = pydantic.Field(0.0, ge=0.0, le=1.0)


class Cosine:
    """Linear warm-up to 1, then half a cosine to `final`."""

    Config = CosineConfig

    def __init__(self, config: CosineConfig) -> None:
        self.config = config

    def factor(self, step: int, steps: int) -> float:
        """Return the factor of a step.

        >>> schedule = Cosine(CosineConfig(warmup=0.0))
        >>> [round(schedule.factor(step, 100), 3) for step in (0, 50, 99)]
        [1.0, 0.5, 0.0]
        """
        warm = self.config.warmup * steps
        done = max(0.0, (step - warm) / max(1.0, steps - warm))
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
        return _warmup(step, warm) * (self.config.final + (1.0 - self.config.final) * cosine)


class WarmupStableDecayConfig(Config):
    """Options of `WarmupStableDecay`.

    Attributes
    ----------
    warmup
        Fraction of all steps in which the rate rises linearly from 0.
    decay
        Fraction of all steps, at the end, in which the rate falls.
    final
        Factor of the rate at the end.
    """

    warmup: float = pydantic.Field(0.0, ge=0.0, le=1.0)
    decay: float = pydantic.Field(0.3, ge=0.0, le=1.0)
    final: float = pydantic.Field(0.01, gt=0.0, le=1.0)

    @pydantic.model_validator(mode="after")
    def _fits(self) -> WarmupStableDecayConfig:
        if self.warmup + self.decay > 1.0:
            raise ValueError("warmup and decay together are more than all steps")
        return self


class WarmupStableDecay:
    """Linear warm-up to 1, constant, then exponential to `final`.

    The defaults are the Particle Transformer's "flat+decay": 70% constant, then down to 1% (2202.03772).
    """

    Config = WarmupStableDecayConfig

    def __init__(self, config: WarmupStableDecayConfig) -> None:
        self.config = config

    def factor(self, step: int, steps: int) -> float:
        """Return the factor of a step.

        >>> schedule = WarmupStableDecay(WarmupStableDecayConfig())
        >>> [round(schedule.factor(step, 1000), 3) for step in (0, 699, 850, 999)]
        [1.0, 1.0, 0.1, 0.01]
        """
        start = (1.0 - self.config.decay) * steps
        done = max(0.0, step - start) / max(1.0, steps - start)
        decayed: float = self.config.final**done
        return _warmup(step, self.config.warmup * steps) * decayed


def _warmup(step: int, warm: float) -> float:
    return min(1.0, (step + 1) / warm) if warm >= 1.0 else 1.0
