"""Flight of particles through a solenoid: where they leave it, and the perigee of their helix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepfm.physics.kinematics import pseudorapidity, wrap_phi
from hepfm.simulate.particles import Bools, Floats, Particles

CURVATURE = 0.299792458e-3
"""pT in GeV of a unit charge on a circle of 1 mm in 1 T."""


@dataclass(frozen=True)
class Solenoid:
    """A cylinder with a homogeneous field along z: field in T, radius and half length in mm."""

    field: float
    radius: float
    half_length: float


@dataclass(frozen=True)
class Flight:
    """Result of `fly`, arrays of shape (n,).

    Attributes
    ----------
    seen
        False for particles that start outside the cylinder or never leave it.
    eta, phi
        Pseudorapidity and azimuth, from the origin, of the point where the particle leaves the cylinder.
    perigee_phi
        Azimuth of the momentum at the closest approach to the z axis (of the momentum itself for neutrals).
    d0
        (x_d py - y_d px) / pT at the closest approach in the transverse plane, mm; 0 for neutrals.
    dz
        z at that point, mm; 0 for neutrals.
    """

    seen: Bools
    eta: Floats
    phi: Floats
    perigee_phi: Floats
    d0: Floats
    dz: Floats


def fly(particles: Particles, solenoid: Solenoid) -> Flight:
    """Follow particles to the surface of the cylinder: charged ones on helices, the others straight."""
    inside = (particles.x**2 + particles.y**2 <= solenoid.radius**2) & (
        np.abs(particles.z) <= solenoid.half_length
    )
    moving = inside & (particles.pt > 1e-4)
    charged = moving & (particles.charge != 0)
    n = len(particles)
    flight = Flight(np.zeros(n, bool), *(np.zeros(n) for _ in range(5)))
    for mask, follow in ((charged, _helix), (moving & ~charged, _straight)):
        rows = np.flatnonzero(mask)
        part = follow(particles.take(rows), solenoid)
        for name in ("seen", "eta", "phi", "perigee_phi", "d0", "dz"):
            getattr(flight, name)[rows] = getattr(part, name)
    return flight


def _straight(p: Particles, solenoid: Solenoid) -> Flight:
    along = p.px * p.x + p.py * p.y
    across = p.px * p.y - p.py * p.x
    to_barrel = (np.sqrt((p.pt * solenoid.radius) ** 2 - across**2) - along) / p.pt**2
    path = np.minimum(to_barrel, _to_end_face(p.pz, p.z, solenoid))
    x, y, z = p.x + p.px * path, p.y + p.py * path, p.z + p.pz * path
    nothing = np.zeros(len(p))
    return Flight(
        np.isfinite(path), pseudorapidity(x, y, z), np.arctan2(y, x), np.arctan2(p.py, p.px), nothing, nothing
    )


def _helix(p: Particles, solenoid: Solenoid) -> Flight:
    pt = p.pt
    turn_radius = pt / (CURVATURE * p.charge * solenoid.field)  # signed: positive turns clockwise
    size, sense = np.abs(turn_radius), -np.sign(turn_radius)
    centre_x = p.x + turn_radius * p.py / pt
    centre_y = p.y - turn_radius * p.px / pt
    distance = np.hypot(centre_x, centre_y)
    start = np.arctan2(p.y - centre_y, p.x - centre_x)
    centre_phi = np.arctan2(centre_y, centre_x)

    # Turned angle to the barrel: the circle leaves it at `opening` from the direction of its centre.
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = (solenoid.radius**2 - distance**2 - size**2) / (2 * distance * size)
        opening = np.arccos(np.where(np.abs(cosine) <= 1, cosine, np.nan))
        to_barrel = np.mod(sense * (centre_phi - start) - opening, 2 * np.pi)
        slope = p.pz / pt * size  # change of z per radian turned
    to_end = _to_end_face(slope, p.z, solenoid)
    turned = np.fmin(to_barrel, to_end)
    angle = start + sense * np.where(np.isfinite(turned), turned, 0.0)
    x, y = centre_x + size * np.cos(angle), centre_y + size * np.sin(angle)
    z = p.z + slope * np.where(np.isfinite(turned), turned, 0.0)

    to_perigee = wrap_phi(sense * (centre_phi + np.pi - start))
    return Flight(
        seen=np.isfinite(turned),
        eta=pseudorapidity(x, y, z),
        phi=np.arctan2(y, x),
        perigee_phi=np.arctan2(-sense * centre_x, sense * centre_y),
        d0=-sense * (distance - size),
        dz=p.z + slope * to_perigee,
    )


def _to_end_face(speed: Floats, z: Floats, solenoid: Solenoid) -> Floats:
    """Return when z reaches the end face ahead at this speed; infinite where it never does."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        time = (np.copysign(solenoid.half_length, speed) - z) / speed
    return np.where(speed == 0, np.inf, time)
