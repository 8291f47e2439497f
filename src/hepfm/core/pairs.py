"""Pairs of things of the same event, for flat arrays of many events."""

from __future__ import annotations

import numpy as np

from hepfm.core.ragged import Array


def pairs_of_events(first: Array, second: Array) -> tuple[Array, Array]:
    """Return (i, j) for every pair with ``first[i] == second[j]``, by rising i.

    Parameters
    ----------
    first, second
        Events of the things, in any order.

    Examples
    --------
    >>> [index.tolist() for index in pairs_of_events(np.array([1, 0]), np.array([0, 1, 1]))]
    [[0, 0, 1], [1, 2, 0]]
    """
    order = np.argsort(second, kind="stable")
    low = np.searchsorted(second[order], first, side="left")
    count = np.searchsorted(second[order], first, side="right") - low
    start = np.cumsum(count) - count
    place = np.arange(count.sum()) + np.repeat(low - start, count)
    return np.repeat(np.arange(len(first)), count), order[place]


def nearest_first(i: Array, j: Array, *distance: Array) -> tuple[Array, Array]:
    """Return pairs in which no i and no j is twice: the nearest one, then the nearest of the rest, ...

    Parameters
    ----------
    i, j
        Pairs to choose from.
    distance
        What they are ranked by; a later one decides where earlier ones are equal.
    """
    order = np.lexsort(distance[::-1])
    i, j = i[order], j[order]
    found: list[tuple[Array, Array]] = []
    while len(i):
        mutual = _first_of(i) & _first_of(j)  # nothing nearer competes for either
        found.append((i[mutual], j[mutual]))
        rest = ~(np.isin(i, i[mutual]) | np.isin(j, j[mutual]))
        i, j = i[rest], j[rest]
    if not found:
        return i, j
    return np.concatenate([pair[0] for pair in found]), np.concatenate([pair[1] for pair in found])


def _first_of(values: Array) -> Array:
    """Tell which entries are the first of their value."""
    first = np.zeros(len(values), bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first
