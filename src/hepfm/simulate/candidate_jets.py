"""Jets from the candidates of a detector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hepfm.physics.clustering import Algorithm, Jets, cluster_jets
from hepfm.simulate.particles import Candidates


def cluster_candidates(
    candidates: Candidates,
    num_events: int,
    *,
    radius: float,
    min_pt: float,
    algorithm: Algorithm = "anti_kt",
) -> Jets:
    """Cluster the candidates of every event; members are indices into the candidates.

    Parameters
    ----------
    candidates
        Those of a batch, in any order.
    num_events
        Events of the batch.
    radius, min_pt, algorithm
        As of `hepfm.physics.clustering.cluster_jets`.
    """
    order = np.argsort(candidates.event, kind="stable")
    lengths = np.bincount(candidates.event, minlength=num_events)
    jets = cluster_jets(candidates.p4[order], lengths, radius=radius, min_pt=min_pt, algorithm=algorithm)
    return replace(jets, members=jets.members.with_values(order[jets.members.values]))
