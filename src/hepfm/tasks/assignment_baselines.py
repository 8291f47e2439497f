"""Assignments that nothing was trained for: the best chi-squared of masses, and random ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hepfm.core.ragged import Array, Ragged
from hepfm.core.rng import numpy_generator
from hepfm.data.event_features import OBJECT_MOMENTA
from hepfm.physics.assign_roles import assign_roles
from hepfm.physics.topology import Branch
from hepfm.tasks.assignment_objects import B_TAG, RoleRows

MASSES = {"t": 172.5, "tbar": 172.5, "w": 80.4, "w2": 80.4, "z": 91.2, "z2": 91.2, "h": 125.0}
"""Masses (GeV) of resonances whose daughters are all measured."""

W_MASS = 80.4
TAG_COST = 9.0
"""Chi-squared of a b without a tag, and of another jet with one."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def random_roles(objects: RoleRows, *, seed: int = 0) -> Ragged:
    """Return roles given to objects of the right types at random, as many as there are objects for."""
    rng = numpy_generator(seed, "tasks.assignment.random")
    slots = objects.slots()

    def drawn() -> Iterator[Array]:
        for where, may in objects.events():
            found = np.zeros(where.stop - where.start, np.int64)
            for daughter, role in slots:
                free = np.flatnonzero(may[daughter] & (found == 0))
                if len(free):
                    found[rng.choice(free)] = role
            yield found

    return objects.filled(drawn())


def chi2_roles(objects: RoleRows, *, resolution: float) -> Ragged | None:
    """Return the roles of the smallest sum of ``((m - m0) / (resolution m0))^2`` of all resonances.

    The masses are those of resonances whose daughters are all measured, and of the W of a top quark's two
    quarks; with b tags, daughters that their tags contradict cost `TAG_COST` each. None where no resonance
    has a known mass.
    """
    known = any(_targets(branch) for branch in objects.topology.branches)
    if not known or not all(name in objects.columns for name in OBJECT_MOMENTA):
        return None
    p4 = _four_momenta(objects)
    tags = objects.columns[B_TAG].values > 0.5 if B_TAG in objects.columns else None

    def solved() -> Iterator[Array]:
        for where, may in objects.events():
            allowed = [_allowed(branch, may) for branch in objects.topology.branches]
            tagged = None if tags is None else tags[where]
            scores = [
                -0.5 * _chi2(branch, p4[where], tagged, resolution) for branch in objects.topology.branches
            ]
            yield assign_roles(objects.topology, objects.roles, allowed, scores)

    return objects.filled(solved())


def _targets(branch: Branch) -> list[tuple[tuple[int, ...], float]]:
    """Return which daughters together have which mass."""
    mass = MASSES.get(branch.resonances[0])
    everything = tuple(range(len(branch.daughters)))
    hadronic_top = branch.daughters == ("b", "q", "q") and branch.resonances[0] in ("t", "tbar")
    if hadronic_top:
        return [(everything, MASSES["t"]), ((1, 2), W_MASS)]
    lost = "l" in branch.daughters and len(branch.daughters) % 2 == 0 and "b" in branch.daughters
    if mass is None or len(branch.daughters) < 2 or lost or branch.resonances[0] in ("t", "tbar"):
        return []
    return [(everything, mass)]


def _allowed(branch: Branch, may: dict[str, Bools]) -> Bools:
    """Return which choices use objects of the right types, each once, (N, ..., N)."""
    degree, length = len(branch.daughters), len(may["b"])
    shapes = [[length if k == axis else 1 for k in range(degree)] for axis in range(degree)]
    place = np.arange(length)
    allowed: Bools = np.ones((length,) * degree, bool)
    for axis, name in enumerate(branch.daughters):
        allowed = allowed & may[name].reshape(shapes[axis])
        for other in range(axis):
            allowed = allowed & (place.reshape(shapes[axis]) != place.reshape(shapes[other]))
    return allowed


def _chi2(branch: Branch, p4_N4: Floats, tagged: Bools | None, resolution: float) -> Floats:
    degree, length = len(branch.daughters), len(p4_N4)
    shapes = [[length if k == axis else 1 for k in range(degree)] for axis in range(degree)]
    chi2: Floats = np.zeros((length,) * degree)
    for axes, mass in _targets(branch):
        parts = [sum(p4_N4[:, k].reshape(shapes[axis]) for axis in axes) for k in range(4)]
        energy, momentum = np.asarray(parts[0]), sum(np.asarray(part) ** 2 for part in parts[1:])
        found = np.sqrt(np.maximum(energy**2 - momentum, 0.0))
        chi2 = chi2 + ((found - mass) / (resolution * mass)) ** 2
    if tagged is not None:
        for axis, name in enumerate(branch.daughters):
            if name in ("b", "q", "g"):
                chi2 = chi2 + TAG_COST * (tagged != (name == "b")).reshape(shapes[axis])
    return chi2


def _four_momenta(objects: RoleRows) -> Floats:
    pt, eta, phi, energy = (objects.columns[name].values.astype(np.float64) for name in OBJECT_MOMENTA)
    return np.stack([energy, pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)
