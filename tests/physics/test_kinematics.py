"""Kinematics: identities, and agreement with the vector package."""

from __future__ import annotations

import numpy as np
import pytest
import vector
from hypothesis import given, settings
from hypothesis import strategies as st

from hepfm.physics.kinematics import (
    delta_r,
    energy_of,
    four_momentum,
    mass_of,
    pseudorapidity,
    rapidity,
    wrap_phi,
)

PT = st.floats(0.1, 1e4)
ETA = st.floats(-5, 5)
PHI = st.floats(-3.14, 3.14)
MASS = st.floats(0.1, 500)


@settings(deadline=None, max_examples=60)
@given(PT, ETA, PHI, MASS)
def test_four_momenta_agree_with_vector(pt: float, eta: float, phi: float, mass: float) -> None:
    reference = vector.obj(pt=pt, eta=eta, phi=phi, mass=mass)
    energy = energy_of(np.array(pt), np.array(eta), np.array(mass))
    p4 = four_momentum(np.array(pt), np.array(eta), np.array(phi), energy)
    np.testing.assert_allclose(
        p4, [reference.E, reference.px, reference.py, reference.pz], rtol=1e-9, atol=1e-9
    )
    assert pseudorapidity(p4[1], p4[2], p4[3]) == pytest.approx(eta, abs=1e-9)
    assert rapidity(p4[3], p4[0]) == pytest.approx(reference.rapidity, abs=1e-6)
    assert mass_of(p4) == pytest.approx(mass, abs=1e-9 * float(energy) ** 2 / mass + 1e-9)


@settings(deadline=None, max_examples=60)
@given(st.floats(-50, 50), st.integers(-5, 5))
def test_wrapped_angles_are_in_range_and_periodic(phi: float, turns: int) -> None:
    wrapped = wrap_phi(np.array(phi))
    assert -np.pi < wrapped <= np.pi
    assert np.cos(wrapped - phi) == pytest.approx(1.0)
    shifted = wrap_phi(np.array(phi + 2 * np.pi * turns))
    assert np.cos(shifted - wrapped) == pytest.approx(1.0)


@settings(deadline=None, max_examples=40)
@given(ETA, PHI, ETA, PHI)
def test_distance_agrees_with_vector(eta_a: float, phi_a: float, eta_b: float, phi_b: float) -> None:
    a, b = vector.obj(pt=1.0, eta=eta_a, phi=phi_a), vector.obj(pt=1.0, eta=eta_b, phi=phi_b)
    distance = delta_r(np.array(eta_a), np.array(phi_a), np.array(eta_b), np.array(phi_b))
    assert distance == pytest.approx(a.deltaR(b), abs=1e-9)


def test_directions_without_momentum() -> None:
    assert pseudorapidity(np.array(0.0), np.array(0.0), np.array(0.0)) == 0
    assert pseudorapidity(np.array(0.0), np.array(0.0), np.array(-1.0)) == -np.inf
    assert rapidity(np.array(0.0), np.array(0.0)) == 0
