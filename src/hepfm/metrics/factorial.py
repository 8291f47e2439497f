"""Factorial designs: main effects and interactions of objectives that arms combine.

An arm is the set of factors it has; scratch has none. With all 2^k arms each factor is judged by all of them,
not by one pair that may hold an odd arm. The effect of a set of factors is the mean of the arms that lack an
even number of them less the mean of the others: for one factor, arms with it less arms without it; for two,
half of what the first gains by the presence of the second.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

from hepfm.core.errors import ConfigError
from hepfm.metrics.contrast import Contrast

TIMES = "\N{MULTIPLICATION SIGN}"


def effects(arms: Mapping[str, Collection[str]]) -> tuple[Contrast, ...]:
    """Return main effects, then interactions of rising order.

    Parameters
    ----------
    arms
        Name of each arm -> its factors.

    Raises
    ------
    ConfigError
        When a combination has no arm, or several.

    Examples
    --------
    >>> for effect in effects({"scratch": (), "C": "C", "M": "M", "C+M": "CM"}):
    ...     print(effect.name, effect.plus, effect.minus)
    C ('C', 'C+M') ('scratch', 'M')
    M ('M', 'C+M') ('scratch', 'C')
    C×M ('scratch', 'C+M') ('C', 'M')
    """
    factors = list(dict.fromkeys(factor for held in arms.values() for factor in held))
    _check(arms, factors)
    return tuple(
        _effect(chosen, arms)
        for order in range(1, len(factors) + 1)
        for chosen in combinations(factors, order)
    )


def factors_of(arms: Sequence[str], factors: Sequence[str], *, none: str) -> dict[str, tuple[str, ...]]:
    """Return the factors of each arm whose name is their sum, with ``+`` between them.

    Parameters
    ----------
    arms
        Names; those that hold something that is no factor are left out.
    factors
        Names of the factors.
    none
        Name of the arm without factors.

    Examples
    --------
    >>> factors_of(["scratch", "C", "C+M", "other"], ["C", "M"], none="scratch")
    {'scratch': (), 'C': ('C',), 'C+M': ('C', 'M')}
    """
    split = {arm: () if arm == none else tuple(arm.split("+")) for arm in arms}
    return {arm: held for arm, held in split.items() if set(held) <= set(factors)}


def _effect(chosen: Sequence[str], arms: Mapping[str, Collection[str]]) -> Contrast:
    lacking = {arm: sum(factor not in held for factor in chosen) for arm, held in arms.items()}
    plus = tuple(arm for arm, count in lacking.items() if count % 2 == 0)
    return Contrast(TIMES.join(chosen), plus, tuple(arm for arm in arms if arm not in plus))


def _check(arms: Mapping[str, Collection[str]], factors: Sequence[str]) -> None:
    held = [frozenset(factors_of_arm) for factors_of_arm in arms.values()]
    wanted = {frozenset(some) for order in range(len(factors) + 1) for some in combinations(factors, order)}
    missing = sorted("+".join(sorted(some)) or "none of them" for some in wanted - set(held))
    if not factors or missing:
        raise ConfigError(
            f"a factorial design of {', '.join(factors) or 'no factors'} needs an arm for each of its "
            f"{len(wanted)} combinations; there is none with {', '.join(missing) or 'a factor'}"
        )
    if len(set(held)) != len(held):
        raise ConfigError(f"two of the arms {', '.join(arms)} have the same factors; leave one out")
