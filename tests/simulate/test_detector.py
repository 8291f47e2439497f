"""Whole detectors on hand-made events: what each artefact does, and what none of them changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hepfm.core.config import resolve_component
from hepfm.core.errors import ConfigError
from hepfm.core.rng import numpy_generator
from hepfm.data.schemas.jets import PID_CLASSES
from hepfm.simulate import DETECTORS
from hepfm.simulate.detector import particle_type
from hepfm.simulate.jet_recipe import JetSelection
from hepfm.simulate.jets import cluster
from hepfm.simulate.particles import Candidates, Particles

OFF = {"tracks_by_calorimeter": False, "eta_at_calorimeter": False, "vanished_tracks_cluster": False}


def measure(particles: Particles, detector: str | dict[str, object], seed: int = 1) -> Candidates:
    component = resolve_component(DETECTORS, detector, where="test")
    return component.cls(component.config)(particles, numpy_generator(seed, "test.detector"))


@pytest.fixture
def pions(particles: Callable[..., Particles]) -> Particles:
    """3000 pions in 30 events, half of them too soft for the hadronic calorimeter."""
    rng = numpy_generator(7, "test.pions")
    n = 3000
    pt = np.where(rng.random(n) < 0.5, rng.uniform(0.3, 1.5, n), rng.uniform(5, 50, n))
    return particles(
        [211] * n, pt, rng.uniform(-2, 2, n), rng.uniform(-3.1, 3.1, n), np.repeat(np.arange(30), 100)
    )


def test_cms_is_jetclass_without_its_accidents(pions: Particles) -> None:
    one, other = measure(pions, "cms"), measure(pions, {"name": "jetclass", **OFF})
    np.testing.assert_array_equal(one.p4, other.p4)
    np.testing.assert_array_equal(one.eta, other.eta)


def test_tracks_by_calorimeter_removes_soft_tracks(pions: Particles) -> None:
    soft = {name: (measure(pions, {"name": name}).pt < 1.5).sum() for name in ("cms",)}
    artefact = measure(pions, {"name": "cms", "tracks_by_calorimeter": True})
    charged = artefact.charge != 0
    assert soft["cms"] > 800
    assert (artefact.pt[charged] < 1.5).sum() < 0.2 * soft["cms"]
    assert (artefact.pt[charged] > 0).all()


def test_vanished_tracks_cluster_with_their_mass_at_the_origin(pions: Particles) -> None:
    detector = {"name": "cms", "tracks_by_calorimeter": True}
    without = measure(pions, detector)
    within = measure(pions, {**detector, "vanished_tracks_cluster": True})
    ghosts = within.pt == 0
    assert ghosts.sum() > 500
    np.testing.assert_allclose(within.p4[ghosts], np.array([[0.1396, 0, 0, 0]]).repeat(ghosts.sum(), 0))
    np.testing.assert_array_equal(within.take(~ghosts).p4, without.p4)


def test_eta_at_calorimeter_changes_what_is_stored_not_what_is_clustered(pions: Particles) -> None:
    plain, outer = measure(pions, "cms"), measure(pions, {"name": "cms", "eta_at_calorimeter": True})
    np.testing.assert_array_equal(plain.p4, outer.p4)
    np.testing.assert_array_equal(plain.pt, outer.pt)
    curling = (plain.charge != 0) & (plain.pt < 0.5)
    assert np.median(np.abs(outer.eta[curling] - plain.eta[curling])) > 0.5
    stiff = (plain.charge != 0) & (plain.pt > 10)
    assert np.abs(outer.eta[stiff] - plain.eta[stiff]).max() < 0.05


def test_muons_keep_their_true_momentum_in_jetclass(particles: Callable[..., Particles]) -> None:
    muons = particles([13] * 200, [30.0] * 200, [0.5] * 200, np.linspace(-3, 3, 200).tolist(), np.arange(200))
    np.testing.assert_allclose(measure(muons, "jetclass").pt, 30.0)
    assert measure(muons, "cms").pt.std() == pytest.approx(0.3 * 1.8, rel=0.5)


def test_candidates_are_of_the_right_kind(particles: Callable[..., Particles]) -> None:
    codes = [211, 22, 130, 11, 13]
    n = 400
    event = np.repeat(np.arange(n), len(codes))
    phi = np.tile([-2.5, -1.0, 0.0, 1.0, 2.5], n)
    found = measure(particles(codes * n, [60.0] * 5 * n, [0.1] * 5 * n, phi.tolist(), event), "jetclass")
    hard = found.take(found.pt > 30)
    counts = dict(zip(PID_CLASSES, np.bincount(hard.pid, minlength=6) / n, strict=True))
    assert counts["charged_hadron"] == pytest.approx(0.95, abs=0.05)
    assert counts["photon"] == pytest.approx(1.0, abs=0.1)
    assert counts["neutral_hadron"] == pytest.approx(1.0, abs=0.1)
    assert counts["electron"] == pytest.approx(0.95, abs=0.05)
    assert counts["muon"] == pytest.approx(0.99, abs=0.03)
    np.testing.assert_array_equal(np.unique(found.event), np.arange(n))
    neutral = found.charge == 0
    for column in (found.d0, found.d0_error, found.dz, found.dz_error):
        assert (column[neutral] == 0).all()
    assert (found.d0_error[~neutral] > 0).all()


def test_pulls_of_prompt_jet_tracks(pions: Particles) -> None:
    found = measure(pions, "jetclass")
    tracks = found.d0_error > 0
    for value, error in ((found.d0, found.d0_error), (found.dz, found.dz_error)):
        assert (value[tracks] / error[tracks]).std() == pytest.approx(1.0, abs=0.06)


def test_every_track_of_cms_has_an_uncertainty(particles: Callable[..., Particles]) -> None:
    """Where the table has no resolution the published card leaves d0 as it is; so does jetclass, not cms."""
    n = 5000
    soft = particles([211] * n, np.full(n, 0.3), np.full(n, 0.5), np.linspace(-3, 3, n), np.arange(n))
    published, meant = measure(soft, "jetclass"), measure(soft, "cms")
    exact = published.d0_error == 0
    assert exact.sum() > 20
    np.testing.assert_allclose(published.d0[exact], 0.0, atol=1e-9)
    tracks = meant.charge != 0
    assert (meant.d0_error[tracks] == 0.3543).sum() > exact.sum()
    assert (np.minimum(meant.d0_error, meant.dz_error)[tracks] > 0).all()
    assert (meant.d0[tracks] / meant.d0_error[tracks]).std() == pytest.approx(1.0, abs=0.06)


def test_no_detector_returns_the_visible_particles(particles: Callable[..., Particles]) -> None:
    found = measure(
        particles([211, 12, 22, 13], [1.0, 9.0, 2.0, 3.0], [0.0, 0.0, 4.9, 5.1], [0.1] * 4), "none"
    )
    assert found.pt.tolist() == pytest.approx([1.0, 2.0])


def test_atlas_like_measures_hadrons_better_and_bends_less(pions: Particles) -> None:
    atlas, cms = measure(pions, "atlas_like"), measure(pions, "cms")
    assert (atlas.d0_error == 0).all()
    assert len(atlas) != len(cms)


def test_only_pions_kaons_protons_are_charged_hadrons() -> None:
    kinds = particle_type(np.array([211, -321, 2212, 3112, 2112, 22]), np.array([1, -1, 1, -1, 0, 0.0]))
    assert [PID_CLASSES[kind] for kind in kinds] == [
        "charged_hadron",
        "charged_hadron",
        "charged_hadron",
        "other",
        "neutral_hadron",
        "photon",
    ]


def test_unknown_detector_and_option() -> None:
    with pytest.raises(ConfigError, match="did you mean 'jetclass'"):
        resolve_component(DETECTORS, "jetclas", where="detector")
    with pytest.raises(ConfigError, match="eta_at_calorimeter"):
        resolve_component(DETECTORS, {"name": "cms", "eta_at_calorimetr": True}, where="detector")


def test_events_may_come_in_any_order(pions: Particles) -> None:
    pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")
    found, selection = measure(pions, "none"), JetSelection(radius=0.8, pt_min=50.0)
    order = np.argsort(-found.event, kind="stable")
    rising, falling = cluster(found, 30, selection), cluster(found.take(order), 30, selection)
    assert len(rising) > 30
    np.testing.assert_array_equal(falling.p4, rising.p4)
    np.testing.assert_array_equal(falling.event, rising.event)
    np.testing.assert_array_equal(order[falling.members.values], rising.members.values)
