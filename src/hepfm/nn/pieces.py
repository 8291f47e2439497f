"""Weights that are split over processes, seen as what this process holds of them."""

from __future__ import annotations

from torch import Tensor


def local(weight: Tensor) -> Tensor:
    """Return the piece of a weight that this process holds, in the same memory; all of it by default."""
    # By name: the module of the class takes a second to import, and no network of one process needs it.
    to_local = getattr(weight, "to_local", None)
    piece: Tensor = weight if to_local is None else to_local()
    return piece
