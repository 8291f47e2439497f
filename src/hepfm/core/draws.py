"""Random numbers that belong to rows: the same for a row whatever batch, part or process it is in.

A batch is cut into parts, its parts go to several processes, and rows are padded; noise and masks must not
depend on any of it. So they come from a hash of (seed, purpose, step, row, place) in place of a stream that
is read in order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hepfm.core.rng import integer_seed, torch_generator

# SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014), as signed 64-bit numbers: torch wraps around.
_GOLDEN = -0x61C8864680B583EB
_FACTORS = (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)
_SHIFTS = (30, 27)
_LAST_SHIFT = 31


@dataclass(frozen=True)
class Draws:
    """The random numbers of one step, or of one validation.

    Attributes
    ----------
    seed, step
        Which step of which run.
    purpose
        What they are for, e.g. ``"train"`` or ``"validation"``.
    progress
        Part of the training that is done, in [0, 1], for what changes in its course; no number depends on it.
    """

    seed: int
    purpose: str
    step: int = 0
    progress: float = 0.0

    def rows(self, rows_B: Tensor) -> RowDraws:
        """Return the draws of rows by their numbers in the store, (B,)."""
        return RowDraws(self, rows_B)

    def generator(self, name: str, device: torch.device) -> torch.Generator:
        """Return a generator of what all rows of the step share; the same in every part and process."""
        return torch_generator(self.seed, f"{self.purpose}.{name}", self.step, device=device.type)

    def key(self, name: str) -> int:
        """Return the key of a name's draws."""
        return integer_seed(self.seed, f"{self.purpose}.{name}", self.step)


@dataclass(frozen=True)
class RowDraws:
    """Draws of B rows; another name gives other numbers, the same name the same ones again."""

    draws: Draws
    rows_B: Tensor

    def uniform(self, name: str, *shape: int) -> Tensor:
        """Return numbers in [0, 1), float32 (B, *shape).

        The number of a place does not depend on how long the shape is.
        """
        return _shifted(self._bits(name, shape), 40).to(torch.float32) * 2.0**-24

    def normal(self, name: str, *shape: int) -> Tensor:
        """Return standard normal numbers, float32 (B, *shape), by Box and Muller's transformation."""
        bits = self._bits(name, shape)
        # The radius from the upper half, which is never zero; the angle from the lower.
        radius = (_shifted(bits, 32) + 1).to(torch.float32) * 2.0**-32
        angle = (bits & 0xFFFFFFFF).to(torch.float32) * (2.0 * math.pi * 2.0**-32)
        return (-2.0 * radius.log()).clamp(min=0.0).sqrt() * angle.cos()

    def _bits(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return 64 random bits for each place, int64 (B, *shape)."""
        row_B = _mixed(self.rows_B.long() * _GOLDEN + self.draws.key(name))
        places = torch.arange(math.prod(shape), device=row_B.device)
        return _mixed(row_B[:, None] + (places + 1) * _GOLDEN).view(-1, *shape)


def _mixed(bits: Tensor) -> Tensor:
    for shift, factor in zip(_SHIFTS, _FACTORS, strict=True):
        bits = (bits ^ _shifted(bits, shift)) * factor
    return bits ^ _shifted(bits, _LAST_SHIFT)


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Shift right and fill with zeros: torch's own shift of signed numbers copies the sign."""
    return (bits >> by) & ((1 << (64 - by)) - 1)
