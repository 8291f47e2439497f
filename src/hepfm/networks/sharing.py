"""Backbones of several kinds of rows that are one but for what each has of its own."""

from __future__ import annotations

from hepfm.backbones import BACKBONES
from hepfm.backbones.base import Backbone
from hepfm.core.config import Component
from hepfm.core.errors import IncompatibleError


def share_weights(giver: Backbone, taker: Backbone) -> None:
    """Let a backbone have the modules and weights of another one, the same objects, but for its own parts.

    Parameters
    ----------
    giver, taker
        Two backbones of one config; see `Backbone.own_parts`.
    """
    for name in shared_parts(giver):
        setattr(taker, name, getattr(giver, name))


def shared_parts(backbone: Backbone) -> list[str]:
    """Return the names of the modules, weights and buffers that a backbone shares."""
    own = type(backbone).own_parts or frozenset()
    named = (
        *backbone.named_children(),
        *backbone.named_parameters(recurse=False),
        *backbone.named_buffers(recurse=False),
    )
    return [name for name, _ in named if name not in own]


def check_sharing(backbone: Component) -> None:
    """Raise `IncompatibleError` for a backbone that cannot share its weights, with those that can."""
    if backbone.cls.own_parts is None:
        able = [name for name in BACKBONES if BACKBONES.load(name).own_parts is not None]
        raise IncompatibleError(
            f"backbone {backbone.name!r} cannot be one for several kinds of rows: what follows its embedding "
            f"depends on their features, or there is nothing to share; choose one that can: {', '.join(able)}"
        )
