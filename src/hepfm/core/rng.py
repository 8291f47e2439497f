"""Random numbers: every generator is derived from (seed, purpose, keys), and there is no global state.

Two draws with different purposes never share a stream, so that adding a draw in one place does not
change the numbers of another.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

# SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ROUNDS = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))
_LAST_SHIFT = np.uint64(31)


def seed_sequence(seed: int, purpose: str, *keys: int) -> np.random.SeedSequence:
    """Return the seed sequence of a purpose, e.g. ``seed_sequence(1, "loader.order", rank, epoch)``.

    Examples
    --------
    >>> first, second = seed_sequence(1, "init"), seed_sequence(1, "order")
    >>> bool(first.generate_state(1) == second.generate_state(1))
    False
    """
    digest = hashlib.blake2b(purpose.encode(), digest_size=8).digest()
    return np.random.SeedSequence([seed, int.from_bytes(digest, "little"), *keys])


def numpy_generator(seed: int, purpose: str, *keys: int) -> np.random.Generator:
    """Return a NumPy generator for (seed, purpose, keys)."""
    return np.random.Generator(np.random.PCG64(seed_sequence(seed, purpose, *keys)))


def integer_seed(seed: int, purpose: str, *keys: int, bits: int = 63) -> int:
    """Return one non-negative integer below ``2**bits`` for programs that take a plain seed."""
    state = seed_sequence(seed, purpose, *keys).generate_state(1, np.uint64)
    return int(state[0]) >> (64 - bits)


def mixed_bits(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return 64 bits for each of the given ones that depend on all of them (SplitMix64); one to one."""
    for shift, factor in _ROUNDS:
        bits = (bits ^ (bits >> shift)) * factor
    return bits ^ (bits >> _LAST_SHIFT)


def uniform_of(numbers: npt.ArrayLike, seed: int, purpose: str, *keys: int) -> npt.NDArray[np.float64]:
    """Return a random number in [0, 1) for each whole number: always the same for that number.

    In contrast to a generator, it does not matter which numbers are asked for together, or in which order.
    """
    key = np.uint64(integer_seed(seed, purpose, *keys, bits=64))
    bits = mixed_bits(np.asarray(numbers).astype(np.uint64) * _GOLDEN + key)
    return (mixed_bits(bits + _GOLDEN) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def torch_generator(seed: int, purpose: str, *keys: int, device: str = "cpu") -> torch.Generator:
    """Return a torch generator on `device` for (seed, purpose, keys)."""
    import torch

    return torch.Generator(device=device).manual_seed(integer_seed(seed, purpose, *keys))
