"""Assignments of objects to resonances, compared with the truth: efficiencies of events and of resonances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hepfm.core.errors import DataError
from hepfm.core.ragged import Ragged
from hepfm.metrics.bootstrap import Statistic
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.physics.topology import Topology

_BITS = 62
"""Objects of an event that fit into the bits of an integer."""


@dataclass(frozen=True)
class AssignmentCounts:
    """Resonances of each event, by branch.

    Attributes
    ----------
    complete_RG
        How many resonances of a branch have all their daughters among the objects, shape (rows, branches).
    correct_RG
        How many of these were found.
    resonances_G
        How many resonances each branch has.
    """

    complete_RG: IntArray
    correct_RG: IntArray
    resonances_G: IntArray

    @classmethod
    def of(
        cls, topology: Topology, roles: Mapping[str, Mapping[str, int]], truth: Ragged, found: Ragged
    ) -> AssignmentCounts:
        """Compare roles of objects.

        Parameters
        ----------
        topology
            What was to be found.
        roles
            Numbers of the roles, see `Topology.roles`.
        truth
            True role of each object, 0 for objects that are not of the type of their role.
        found
            Role that each object was given; lists may be shorter than the true ones.
        """
        complete, correct = [], []
        for branch in topology.branches:
            kinds = branch.kinds
            true, given = (
                np.stack(
                    [
                        np.stack([_uses(some, roles[name][kind]) for kind in kinds], axis=1)
                        for name in branch.resonances
                    ],
                    axis=1,
                )
                for some in (truth, found)
            )  # (rows, resonances, kinds)
            whole_RN = np.ones(true.shape[:2], bool)
            for place, number in enumerate(kinds.values()):
                whole_RN &= np.bitwise_count(true[..., place]) == number
            same_RNN = (true[:, :, None] == given[:, None]).all(-1)
            complete.append(whole_RN.sum(1))
            correct.append((whole_RN & same_RNN.any(2)).sum(1))
        sizes = np.array([len(branch.resonances) for branch in topology.branches])
        return cls(np.stack(complete, axis=1), np.stack(correct, axis=1), sizes)

    @property
    def matched(self) -> FloatArray:
        """1 for events whose resonances are all complete, else 0, (rows,)."""
        return (self.complete_RG == self.resonances_G).all(1).astype(np.float64)

    @property
    def right(self) -> FloatArray:
        """1 for events whose resonances are all complete and found, else 0, (rows,)."""
        return (self.correct_RG == self.resonances_G).all(1).astype(np.float64)


def _uses(roles: Ragged, number: int) -> IntArray:
    """Return which objects of each row have a role, as bits, int64 (rows,)."""
    there = np.flatnonzero(roles.values == number)
    row = roles.row_index()[there]
    place = there - roles.offsets[row]
    if (place >= _BITS).any():
        raise DataError(f"roles of objects beyond the first {_BITS} of an event cannot be compared")
    uses = np.zeros(len(roles), np.int64)
    np.bitwise_or.at(uses, row, np.left_shift(np.int64(1), place))
    return uses


def event_efficiency_statistic(counts: AssignmentCounts) -> Statistic:
    """Return the fraction of events with complete resonances alone that are found wholly."""
    return _ratio(counts.right, counts.matched)


def correct_events_statistic(counts: AssignmentCounts) -> Statistic:
    """Return the fraction of all events whose resonances are complete and found."""
    return _ratio(counts.right, np.ones(len(counts.right)))


def resonance_efficiency_statistic(counts: AssignmentCounts, branch: int | None = None) -> Statistic:
    """Return the fraction of complete resonances that are found, of a branch or of all."""
    which = slice(None) if branch is None else slice(branch, branch + 1)
    correct, complete = (
        values[:, which].sum(1).astype(np.float64) for values in (counts.correct_RG, counts.complete_RG)
    )
    return _ratio(correct, complete)


def _ratio(part: FloatArray, whole: FloatArray) -> Statistic:
    def statistic(weights: FloatArray) -> float:
        total = float(whole @ weights)
        return float(part @ weights) / total if total > 0 else float("nan")

    return statistic
