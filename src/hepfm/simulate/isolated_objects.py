"""Electrons, muons and photons: candidates of a detector that are identified and isolated."""

from __future__ import annotations

import numpy as np

from hepfm.core.pairs import pairs_of_events
from hepfm.data.event_objects import EventObjects, make_objects, merge_objects
from hepfm.data.schemas.jets import PID_CLASSES
from hepfm.physics.kinematics import delta_r
from hepfm.simulate.object_recipe import IsolatedObject, ObjectRecipe
from hepfm.simulate.particles import Candidates, Floats, Ints


def isolated_objects(
    candidates: Candidates, recipe: ObjectRecipe, random: np.random.Generator
) -> EventObjects:
    """Return the electrons, muons and photons of a batch of events."""
    options = {"electron": recipe.electrons, "muon": recipe.muons, "photon": recipe.photons}
    return merge_objects(*(_of_kind(candidates, name, one, random) for name, one in options.items()))


def _of_kind(
    candidates: Candidates, name: str, options: IsolatedObject, random: np.random.Generator
) -> EventObjects:
    """Return those of one kind, which has the same name as candidates and as objects."""
    chosen = (
        (candidates.pid == PID_CLASSES.index(name))
        & (candidates.pt > options.pt_min)
        & (np.abs(candidates.eta) < options.eta_max)
    )
    rows = np.flatnonzero(chosen)
    rows = rows[random.random(len(rows)) < options.efficiency(candidates.eta[rows])]
    sums = isolation_sums(candidates, rows, cone=options.cone, pt_min=options.candidate_pt_min)
    rows = rows[sums <= options.isolation * candidates.pt[rows]]
    kinematics = candidates.pt, candidates.eta, candidates.phi, candidates.energy
    pt, eta, phi, energy = (values[rows] for values in kinematics)
    event, charge = candidates.event[rows], candidates.charge[rows]
    return make_objects(event, (pt, eta, phi, energy), name, charge=charge)


def isolation_sums(candidates: Candidates, rows: Ints, *, cone: float, pt_min: float) -> Floats:
    """Return the sum of pt around some candidates, themselves left out, shape of `rows`.

    Parameters
    ----------
    candidates
        All of them.
    rows
        Which are looked at.
    cone
        Radius in the (eta, phi) plane.
    pt_min
        Candidates below do not count, GeV.
    """
    others = np.flatnonzero(candidates.pt > pt_min)
    one, other = pairs_of_events(candidates.event[rows], candidates.event[others])
    first, second = rows[one], others[other]
    distance = delta_r(
        candidates.eta[first], candidates.phi[first], candidates.eta[second], candidates.phi[second]
    )
    inside = (distance < cone) & (first != second)
    pt = candidates.pt[second[inside]]
    return np.bincount(one[inside], pt, minlength=len(rows)).astype(np.float64)
