"""Flight through a solenoid: geometry that must hold for every track."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hepfm.simulate.helix import CURVATURE, Solenoid, fly
from hepfm.simulate.particles import Particles

CMS = Solenoid(field=3.8, radius=1290.0, half_length=3000.0)


def particle(
    pt: float,
    *,
    eta: float = 0.0,
    phi: float = 0.0,
    charge: float = 1.0,
    vertex: tuple[float, float, float] = (0, 0, 0),
) -> Particles:
    """Return one pion (or photon)."""
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    mass = 0.14 if charge else 0.0
    numbers = [charge, px, py, pz, np.sqrt(px**2 + py**2 + pz**2 + mass**2), mass, *vertex]
    return Particles(
        np.array([0]),
        np.array([211 if charge else 22]),
        *(np.array([float(x)]) for x in numbers),
        entry=np.array([0]),
    )


@settings(deadline=None, max_examples=60)
@given(st.floats(0.8, 500), st.floats(-2, 2), st.floats(-3.1, 3.1), st.sampled_from([-1.0, 1.0]))
def test_tracks_from_the_origin_have_no_impact_parameter(
    pt: float, eta: float, phi: float, charge: float
) -> None:
    flight = fly(particle(pt, eta=eta, phi=phi, charge=charge), CMS)
    assert flight.seen[0]
    assert abs(flight.d0[0]) < 1e-6
    assert abs(flight.dz[0]) < 1e-6
    assert np.cos(flight.perigee_phi[0] - phi) == pytest.approx(1.0)


@settings(deadline=None, max_examples=60)
@given(
    st.floats(0.9, 100),
    st.floats(-1.5, 1.5),
    st.floats(-3.1, 3.1),
    st.sampled_from([-1.0, 1.0]),
    st.tuples(st.floats(-20, 20), st.floats(-20, 20), st.floats(-50, 50)),
    st.floats(0.01, 0.3),
)
def test_perigee_is_the_same_from_every_point_of_the_helix(
    pt: float, eta: float, phi: float, charge: float, vertex: tuple[float, float, float], turn: float
) -> None:
    """Move the start along the helix by hand: d0, dz and the exit stay."""
    size = pt / (CURVATURE * CMS.field)
    sense = -charge
    centre = (vertex[0] + charge * size * np.sin(phi), vertex[1] - charge * size * np.cos(phi))
    start = np.arctan2(vertex[1] - centre[1], vertex[0] - centre[0])
    moved = (
        centre[0] + size * np.cos(start + sense * turn),
        centre[1] + size * np.sin(start + sense * turn),
        vertex[2] + size * turn * np.sinh(eta),
    )
    assume(np.hypot(moved[0], moved[1]) < CMS.radius / 2)
    assume(abs(moved[2]) < CMS.half_length / 2)
    one = fly(particle(pt, eta=eta, phi=phi, charge=charge, vertex=vertex), CMS)
    two = fly(particle(pt, eta=eta, phi=phi + sense * turn, charge=charge, vertex=moved), CMS)
    assert two.d0[0] == pytest.approx(one.d0[0], abs=1e-6)
    assert np.cos(two.perigee_phi[0] - one.perigee_phi[0]) == pytest.approx(1.0)
    assert two.eta[0] == pytest.approx(one.eta[0], abs=1e-6)
    assert np.cos(two.phi[0] - one.phi[0]) == pytest.approx(1.0)


def test_sign_and_size_of_d0() -> None:
    """A stiff track along x, produced 1 mm above the axis, passes it at d0 = x py - y px = -1 mm."""
    flight = fly(particle(500.0, vertex=(0, 1.0, 7.0)), CMS)
    assert flight.d0[0] == pytest.approx(-1.0, abs=1e-5)
    assert flight.dz[0] == pytest.approx(7.0, abs=1e-3)


def test_bending_grows_as_charge_over_pt() -> None:
    """The azimuth at the barrel turns by asin(r / 2R), clockwise for positive charge."""
    for charge, pt in ((1.0, 2.0), (-1.0, 2.0), (1.0, 20.0)):
        flight = fly(particle(pt, charge=charge), CMS)
        expected = -charge * np.arcsin(CMS.radius * CURVATURE * CMS.field / (2 * pt))
        assert flight.phi[0] == pytest.approx(expected)


def test_curling_tracks_reach_the_end_face() -> None:
    """Below 0.735 GeV a track never reaches the barrel; it ends on the face, whatever its direction."""
    threshold = 0.5 * CMS.radius * CURVATURE * CMS.field
    assert threshold == pytest.approx(0.735, abs=0.001)
    below = fly(particle(0.99 * threshold, eta=0.2), CMS)
    above = fly(particle(1.01 * threshold, eta=0.2), CMS)
    assert below.eta[0] > 1.6
    assert above.eta[0] < 0.4
    assert fly(particle(0.99 * threshold, eta=-0.2), CMS).eta[0] == pytest.approx(-below.eta[0])


def test_neutrals_fly_straight_from_their_vertex() -> None:
    flight = fly(particle(5.0, eta=0.5, charge=0.0, vertex=(100.0, 0.0, 50.0)), CMS)
    assert flight.eta[0] == pytest.approx(np.arcsinh((50 + (CMS.radius - 100) * np.sinh(0.5)) / CMS.radius))
    assert flight.d0[0] == flight.dz[0] == 0


def test_what_starts_outside_or_never_leaves_is_not_seen() -> None:
    assert not fly(particle(5.0, vertex=(1300.0, 0, 0)), CMS).seen[0]
    assert not fly(particle(5.0, charge=0.0, vertex=(0, 0, 3001.0)), CMS).seen[0]
    assert not fly(particle(0.5, eta=0.0), CMS).seen[0]
