"""Random numbers: every generator is derived from (seed, purpose, keys), and there is no global state.

Two draws with different purposes never share a stream, so that adding a draw in one place does not
change the numbers of another.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


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


def torch_generator(seed: int, purpose: str, *keys: int, device: str = "cpu") -> torch.Generator:
    """Return a torch generator on `device` for (seed, purpose, keys)."""
    import torch

    return torch.Generator(device=device).manual_seed(integer_seed(seed, purpose, *keys))
