"""Ways to damage a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes]


def truncated(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut off the end."""
    return content[: int(rng.integers(0, len(content)))]


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip a bit of each of three bytes."""
    changed = bytearray(content)
    for place in rng.integers(0, len(content), 3):
        changed[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(changed)


def replaced(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace up to 64 bytes by random ones."""
    start = int(rng.integers(0, len(content)))
    stop = min(len(content), start + int(rng.integers(1, 65)))
    return content[:start] + rng.bytes(stop - start) + content[stop:]


def blanked(content: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite a part with zeros, as a crash of the machine leaves it."""
    start = int(rng.integers(0, len(content)))
    stop = min(len(content), start + max(8, len(content) // 8))
    return content[:start] + bytes(stop - start) + content[stop:]


def at_the_ends(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a byte where formats keep their structure: the first or last 200 bytes."""
    changed = bytearray(content)
    near = int(rng.integers(0, min(200, len(content))))
    changed[near if rng.random() < 0.5 else len(content) - 1 - near] = int(rng.integers(0, 256))
    return bytes(changed)


DAMAGES: dict[str, Damage] = {
    one.__name__: one for one in (truncated, flipped, replaced, blanked, at_the_ends)
}


def damaged(content: bytes, damage: Damage, *, times: int, seed: int) -> Iterator[bytes]:
    """Yield a content with one sort of damage, several times."""
    rng = np.random.default_rng(seed)
    for _ in range(times):
        yield damage(content, rng)
