"""Roles of the objects of an event from scores of the choices of each branch, without using one twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hepfm.physics.consistent import Choices, Ints, best_consistent
from hepfm.physics.topology import Branch, Topology

Bools = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.floating]


def assign_roles(
    topology: Topology,
    roles: Mapping[str, Mapping[str, int]],
    may: Sequence[Bools],
    scores: Sequence[Scores],
) -> Ints:
    """Return the role of each object of one event, (N,), 0 for those that are no daughter.

    The sum of the scores is the largest without an object used twice; where objects do not suffice for all
    resonances, as many as possible are found, see `hepfm.physics.consistent.best_consistent`. Resonances of
    one branch are named in falling order of score.

    Parameters
    ----------
    topology
        What is to be found.
    roles
        Number of the role by the names of resonance and daughter, see `Topology.roles`.
    may
        For each branch which choices are allowed, (N, ..., N).
    scores
        For each branch the log probability of each choice, (N, ..., N).
    """
    num_objects = may[0].shape[0]
    places, candidates = [], []
    for branch, allowed, score in zip(topology.branches, may, scores, strict=True):
        index = np.argwhere(allowed & _one_order(branch, num_objects))
        places.append(index)
        candidates.append(Choices.of(index, score[tuple(index.T)].astype(np.float64)))
    resonances = topology.resonances
    chosen = best_consistent([candidates[number] for _, number in resonances])
    found = np.zeros(num_objects, np.int64)
    for number, branch in enumerate(topology.branches):
        picks = [pick for pick, (_, of) in zip(chosen, resonances, strict=True) if of == number and pick >= 0]
        picks.sort(key=lambda pick: -scores[number][tuple(places[number][pick])])
        for resonance, pick in zip(branch.resonances, picks, strict=False):
            for place, daughter in zip(places[number][pick], branch.daughters, strict=True):
                found[place] = roles[resonance][daughter]
    return found


def _one_order(branch: Branch, length: int) -> Bools:
    """Return the choices in which interchangeable daughters stand in the order of the objects."""
    degree = len(branch.daughters)
    place = np.arange(length)
    order: Bools = np.ones((1,) * degree, np.bool_)
    for axis in range(degree - 1):
        if branch.daughters[axis] == branch.daughters[axis + 1]:
            shapes = [[length if k == at else 1 for k in range(degree)] for at in (axis, axis + 1)]
            order = order & (place.reshape(shapes[0]) < place.reshape(shapes[1]))
    return order
