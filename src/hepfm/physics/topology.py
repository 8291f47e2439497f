"""Decays whose daughters are to be found among the objects of an event: which resonances, which daughters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from hepfm.core.errors import ConfigError, did_you_mean

MEASURED_AS = {
    "b": ("jet",),
    "q": ("jet",),
    "g": ("jet",),
    "l": ("electron", "muon"),
    "tau": ("tau",),
    "photon": ("photon",),
}
"""Types of reconstructed objects as which a daughter is measured; of a neutrino there is none."""

MOST_DAUGHTERS = MOST_RESONANCES = 4
"""Joint probabilities of N objects have N^daughters entries; resonances are combined exhaustively."""


@dataclass(frozen=True)
class Branch:
    """Resonances that decay alike and are told apart by nothing: they share one distribution.

    Attributes
    ----------
    resonances
        Their names.
    daughters
        Names of the daughters, equal ones next to each other: these are interchangeable.
    """

    resonances: tuple[str, ...]
    daughters: tuple[str, ...]

    @property
    def permutations(self) -> tuple[tuple[int, ...], ...]:
        """Orders of the daughters that mean the same.

        >>> Branch(("t",), ("b", "q", "q")).permutations
        ((0, 1, 2), (0, 2, 1))
        """
        orders = permutations(range(len(self.daughters)))
        return tuple(order for order in orders if tuple(self.daughters[k] for k in order) == self.daughters)

    @property
    def kinds(self) -> dict[str, int]:
        """How many daughters there are of each name."""
        return {name: self.daughters.count(name) for name in dict.fromkeys(self.daughters)}


@dataclass(frozen=True)
class Topology:
    """The branches of an event."""

    branches: tuple[Branch, ...]

    @classmethod
    def of(cls, resonances: Mapping[str, Sequence[str]], alike: Sequence[Sequence[str]] = ()) -> Topology:
        """Return the topology of declared decays.

        Parameters
        ----------
        resonances
            Daughters by the name of the resonance, e.g. ``{"t": ["b", "q", "q"]}``.
        alike
            Groups of resonances that are told apart by nothing, e.g. ``[["t", "tbar"]]``.

        Raises
        ------
        ConfigError
            For daughters that are not measured, too many of them, or groups that are none.
        """
        if not 1 <= len(resonances) <= MOST_RESONANCES:
            raise ConfigError(f"resonances: expected 1 to {MOST_RESONANCES} of them, got {len(resonances)}")
        ordered = {name: _ordered(name, daughters) for name, daughters in resonances.items()}
        groups = [_group(group, ordered) for group in alike]
        named = [name for group in groups for name in group]
        if len(named) != len(set(named)):
            raise ConfigError("alike: a resonance is in two groups, or twice in one; join these groups")
        groups += [(name,) for name in ordered if name not in named]
        groups.sort(key=lambda group: list(ordered).index(group[0]))
        return cls(tuple(Branch(group, ordered[group[0]]) for group in groups))

    @property
    def resonances(self) -> tuple[tuple[str, int], ...]:
        """Every resonance with the number of its branch."""
        return tuple((name, k) for k, branch in enumerate(self.branches) for name in branch.resonances)

    @property
    def size(self) -> int:
        """Number of objects of an event whose daughters are all there."""
        return sum(len(branch.resonances) * len(branch.daughters) for branch in self.branches)

    def roles(self, classes: Sequence[str]) -> dict[str, dict[str, int]]:
        """Return the class of each kind of daughter of each resonance; raise `ConfigError` without one."""
        found: dict[str, dict[str, int]] = {}
        for name, number in self.resonances:
            found[name] = {}
            for daughter in self.branches[number].kinds:
                role = f"{name}_{daughter}"
                if role not in classes:
                    raise ConfigError(
                        f"resonances: no object has the role {role!r}{did_you_mean(role, classes)}"
                    )
                found[name][daughter] = list(classes).index(role)
        return found


def _ordered(name: str, daughters: Sequence[str]) -> tuple[str, ...]:
    if not 1 <= len(daughters) <= MOST_DAUGHTERS:
        raise ConfigError(
            f"resonances: {name!r} has {len(daughters)} daughters, expected 1 to {MOST_DAUGHTERS}"
        )
    for daughter in daughters:
        if daughter not in MEASURED_AS:
            raise ConfigError(
                f"resonances: a daughter {daughter!r} of {name!r} is measured as no object"
                f"{did_you_mean(daughter, MEASURED_AS)}"
            )
    return tuple(sorted(daughters, key=list(dict.fromkeys(daughters)).index))


def _group(group: Sequence[str], ordered: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    for name in group:
        if name not in ordered:
            raise ConfigError(f"alike: no resonance {name!r}{did_you_mean(name, ordered)}")
        if ordered[name] != ordered[group[0]]:
            raise ConfigError(
                f"alike: {name!r} decays to {', '.join(ordered[name])} and {group[0]!r} to "
                f"{', '.join(ordered[group[0]])}; resonances that decay differently are not alike"
            )
    return tuple(group)
