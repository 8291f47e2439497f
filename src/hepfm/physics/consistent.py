"""The best assignment of objects to several resonances in which no object is used twice, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_FIRST = 16
"""Candidates of each resonance that are combined first; more where these do not decide."""


@dataclass(frozen=True)
class Choices:
    """What a resonance may consist of in one event, in falling order of score.

    Attributes
    ----------
    uses
        Objects that each candidate consists of, as bits, shape (C,).
    scores
        Their log probabilities, shape (C,).
    order
        Their numbers before they were put in order, shape (C,).
    """

    uses: Ints
    scores: Floats
    order: Ints

    @classmethod
    def of(cls, places_CD: Ints, scores: Floats) -> Choices:
        """Return candidates of the places of their objects, (C, D), and their scores, (C,)."""
        order = np.argsort(-scores, kind="stable")
        uses = np.left_shift(np.int64(1), places_CD[order]).sum(1)
        return cls(uses, scores[order].astype(np.float64), order)


def best_consistent(resonances: Sequence[Choices]) -> list[int]:
    """Return the number of the candidate of each resonance, -1 for a resonance that is left out.

    No object is used twice. As many resonances as possible are found; among equally many the sum of the
    scores is the largest. The search is exact: candidates beyond those combined so far are looked at unless
    none of them can be part of a better sum.

    >>> first = Choices.of(np.array([[0, 1], [2, 3]]), np.array([-0.1, -3.0]))
    >>> second = Choices.of(np.array([[0, 2], [0, 1]]), np.array([-0.2, -0.3]))
    >>> best_consistent([first, second])
    [1, 1]
    >>> best_consistent([first, second, second])
    [1, 1, -1]
    """
    for size in range(len(resonances), 0, -1):
        found = [
            (_best([resonances[k] for k in some]), some)
            for some in combinations(range(len(resonances)), size)
        ]
        possible = [(best[0], best[1], some) for best, some in found if best is not None]
        if possible:
            _, picks, some = max(possible, key=lambda entry: entry[0])
            chosen = [-1] * len(resonances)
            for k, pick in zip(some, picks, strict=True):
                chosen[k] = int(resonances[k].order[pick])
            return chosen
    return [-1] * len(resonances)


def _best(resonances: Sequence[Choices]) -> tuple[float, Ints] | None:
    """Return the largest sum of scores without a shared object, and the places of the candidates."""
    if not all(len(one.scores) for one in resonances):
        return None
    first, most = _FIRST, max(len(one.scores) for one in resonances)
    while True:
        found = _best_of_first(resonances, first)
        if first >= most or (found is not None and found[0] >= _bound(resonances, first)):
            return found
        first *= 4


def _bound(resonances: Sequence[Choices], first: int) -> float:
    """Return what no sum with a candidate beyond the first ones exceeds."""
    top = sum(float(one.scores[0]) for one in resonances)
    beyond = (
        top - float(one.scores[0]) + float(one.scores[first]) for one in resonances if len(one.scores) > first
    )
    return max(beyond, default=-np.inf)


def _best_of_first(resonances: Sequence[Choices], first: int) -> tuple[float, Ints] | None:
    uses, scores = np.zeros(1, np.int64), np.zeros(1)
    picks = np.zeros((1, 0), np.int64)
    for one in resonances:
        apart = (uses[:, None] & one.uses[None, :first]) == 0
        before, pick = np.nonzero(apart)
        if not len(before):
            return None
        uses = uses[before] | one.uses[pick]
        scores = scores[before] + one.scores[pick]
        picks = np.concatenate([picks[before], pick[:, None]], axis=1)
    best = int(scores.argmax())
    return float(scores[best]), picks[best]
