"""Vertices of constituents from the probabilities of pairs to share one."""

from __future__ import annotations

import numpy as np
import scipy.cluster.hierarchy
from torch import Tensor

from hepfm.core.ragged import Array, Ragged
from hepfm.data.schemas.jets import NO_VERTEX

THRESHOLD = 0.5
"""Two groups of constituents become one vertex while the mean probability of their pairs is above it."""


def vertices_of(logits_BNN: Tensor, mask_BN: Tensor, has_BN: Tensor) -> Ragged:
    """Return the number of the vertex of each constituent, int16, as lists of the rows of a batch.

    Vertices are numbered by their first constituent, from 0; `NO_VERTEX` stands for a constituent that has
    none.

    Parameters
    ----------
    logits_BNN
        Symmetric logits of pairs.
    mask_BN
        Which constituents are real.
    has_BN
        Which have a vertex: those with a track.
    """
    p_BNN = logits_BNN.sigmoid().double().cpu().numpy()
    mask_BN, has = mask_BN.cpu(), has_BN.cpu().numpy()
    number = np.full(has.shape, NO_VERTEX, np.int16)
    for row, tracks in enumerate(has):
        places = np.flatnonzero(tracks)
        number[row, places] = agglomerated(p_BNN[row][np.ix_(places, places)])
    return Ragged.from_lengths(number[mask_BN.numpy()], mask_BN.sum(1).numpy())


def agglomerated(p_NN: Array) -> Array:
    """Return the number of the group of each of N things, (N,), by average linkage; see `THRESHOLD`.

    >>> agglomerated(np.array([[1, 0.9, 0.2], [0.9, 1, 0.4], [0.2, 0.4, 1]])).tolist()
    [0, 0, 1]
    """
    if len(p_NN) < 2:
        return np.zeros(len(p_NN), np.int64)
    first, second = np.triu_indices(len(p_NN), k=1)
    tree = scipy.cluster.hierarchy.linkage(1 - p_NN[first, second], method="average")
    group = scipy.cluster.hierarchy.fcluster(tree, 1 - THRESHOLD, criterion="distance")
    _, place, inverse = np.unique(group, return_index=True, return_inverse=True)
    numbers: Array = np.argsort(np.argsort(place))[inverse]
    return numbers
