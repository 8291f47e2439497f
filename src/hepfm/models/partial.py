"""Partial loading: a named act that says which weights were loaded, are new, or were dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from hepfm.core.errors import ModelError
from hepfm.networks.network import Network


@dataclass(frozen=True)
class LoadTable:
    """Numbers of weights by part of the network: loaded, new (left as they were), dropped (not used).

    `names` are those of the new tensors; None where nothing was loaded, and all are new.
    """

    loaded: Mapping[str, int]
    new: Mapping[str, int]
    dropped: Mapping[str, int]
    names: frozenset[str] | None = None

    def lines(self) -> list[str]:
        """Return the table as lines of text."""
        rows = [
            (part, count, what)
            for what, counts in (("loaded", self.loaded), ("new", self.new), ("dropped", self.dropped))
            for part, count in counts.items()
        ]
        width = max((len(part) for part, _, _ in rows), default=0)
        return [f"{part:<{width}}  {count:>12,}  {what}" for part, count, what in rows]

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Return JSON-ready values."""
        return {"loaded": dict(self.loaded), "new": dict(self.new), "dropped": dict(self.dropped)}


Heads = Literal["new", "keep", "reuse"]
"""Of a head's weights: none, all, or all but those of its last layer, which is called ``linear``."""

_OPTIONAL = ("conditioning.", "generator.", "tokenizer.")
"""Parts that are loaded where the other network has the same tensors."""
_LEARNED_ANEW = ("generator.sampler.",)
"""What describes the rows of one data set, their kinematics and numbers of constituents."""


def load_partially(network: Network, tensors: Mapping[str, Tensor], *, heads: Heads) -> LoadTable:
    """Load standardisation and backbone into `network`, and of the other parts what fits.

    Parameters
    ----------
    network
        The network to fill; what is not loaded keeps its values.
    tensors
        State of another network.
    heads
        ``"keep"`` loads heads too, ``"reuse"`` what fits of them but their last layer.

    Raises
    ------
    ModelError
        When a part that is to be loaded lacks a tensor or has one of another shape.
    """
    state = network.state_dict()
    fits = {name for name in state if name in tensors and tensors[name].shape == state[name].shape}
    loaded = [name for name in state if name in fits or not _may_lack(name, heads)]
    loaded = [name for name in loaded if not _is_new(name, heads)]
    unfit = [name for name in loaded if name not in fits]
    if unfit:
        raise ModelError(f"cannot load these weights, of another architecture: {', '.join(unfit[:8])}")
    network.load_state_dict({**state, **{name: tensors[name] for name in loaded}})
    new = {name: tensor for name, tensor in state.items() if name not in set(loaded)}
    return LoadTable(
        loaded=_count({name: state[name] for name in loaded}),
        new=_count(new),
        dropped=_count({name: tensor for name, tensor in tensors.items() if name not in set(loaded)}),
        names=frozenset(new),
    )


def _may_lack(name: str, heads: Heads) -> bool:
    return name.startswith(_OPTIONAL) or (name.startswith("heads.") and heads != "keep")


def _is_new(name: str, heads: Heads) -> bool:
    if name.startswith("heads."):
        return heads == "new" or (heads == "reuse" and ".linear." in name)
    return name.startswith(_LEARNED_ANEW)


def _count(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for name, tensor in tensors.items():
        counts[".".join(name.split(".")[:2])] += tensor.numel()
    return dict(counts)
