"""Track efficiencies, resolutions and the table of impact parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hepfm.core.rng import numpy_generator
from hepfm.simulate.cards import CMS_CARD
from hepfm.simulate.tracks import Tracks, jetclass_impact_table, log_normal, measure_impact


def tracks(pt: float, eta: float, number: int) -> Tracks:
    """Return equal prompt tracks."""
    nothing, ones = np.zeros(number), np.ones(number)
    return Tracks(np.arange(number), pt * ones, eta * ones, nothing, nothing, nothing, *([nothing] * 4))


def test_table_holds_all_204_resolutions() -> None:
    table = jetclass_impact_table()
    assert table.sigma.shape == (2, 3, 34)
    assert (table.sigma > 0).all()
    assert table.eta_edges.tolist() == [0.0, 0.9, 1.4, 2.5]


@pytest.mark.parametrize(
    ("pt", "eta", "d0"),
    [
        (0.2, 0.0, 0.3543),  # first step
        (0.2227, 0.0, 0.3543),  # closed above
        (0.2228, 0.0, 0.2809),
        (0.2, -0.9, 0.3543),
        (0.2, 0.91, 0.4564),
        (0.2, 2.5, 0.6970),
        (5000.0, 0.1, 0.0110),  # open
        (0.1823, 0.0, 0.0),  # below the table
        (5.0, 2.51, 0.0),  # beyond it
    ],
)
def test_lookup(pt: float, eta: float, d0: float) -> None:
    assert jetclass_impact_table().lookup(np.array([pt]), np.array([eta]))[0][0] == d0


@pytest.mark.parametrize(
    ("pt", "eta", "as_if"),
    [(0.05, -0.5, (0.2, 0.5)), (0.1823, 2.0, (0.2, 2.0)), (5.0, -2.6, (5.0, 2.5)), (0.4, 1.0, (0.4, 1.0))],
)
def test_outside_of_the_table_the_nearest_resolution_counts(
    pt: float, eta: float, as_if: tuple[float, float]
) -> None:
    table = jetclass_impact_table()
    found, expected = table.nearest(np.array([pt]), np.array([eta])), table.lookup(*np.array(as_if)[:, None])
    assert np.array_equal(found, expected)
    assert (np.array(found) > 0).all()


@pytest.mark.parametrize("eta", [0.3, -1.1, 2.0])
@pytest.mark.parametrize("pt", [0.4, 3.0, 80.0])
def test_pulls_of_prompt_tracks_have_width_one(eta: float, pt: float) -> None:
    measured = measure_impact(
        tracks(pt, eta, 20_000), jetclass_impact_table().lookup, numpy_generator(1, "test.pulls")
    )
    for value, error in ((measured.d0, measured.d0_error), (measured.dz, measured.dz_error)):
        pull = value / error
        assert pull.std() == pytest.approx(1.0, abs=0.02)
        assert pull.mean() == pytest.approx(0.0, abs=0.03)


def test_efficiency_follows_the_card() -> None:
    hadron, electron, muon = CMS_CARD.tracks
    pt = np.array([0.1, 0.5, 1.0, 50.0, 200.0, 50.0])
    eta = np.array([0.0, 0.0, -1.5, 1.5, 2.0, 2.6])
    np.testing.assert_allclose(hadron.efficiency_at(pt, eta), [0, 0.70, 0.70, 0.95, 0.85, 0])
    np.testing.assert_allclose(electron.efficiency_at(pt, eta), [0, 0.73, 0.73, 0.95, 0.90, 0])
    np.testing.assert_allclose(muon.efficiency_at(pt, eta), [0, 0.75, 0.75, 0.99, 0.98, 0])
    assert muon.efficiency_at(np.array([3000.0]), np.array([0.0]))[0] == pytest.approx(0.99 * np.exp(-1))


def test_resolution_follows_the_card_and_is_at_most_one() -> None:
    hadron = CMS_CARD.tracks[0]
    values = hadron.resolution_at(np.array([100.0, 100.0, 1e6]), np.array([0.5, 2.0, 2.0]))
    np.testing.assert_allclose(values, [np.hypot(0.06, 0.13), np.hypot(0.25, 0.31), 1.0])


def test_log_normal_has_the_mean_and_width_asked_for() -> None:
    drawn = log_normal(np.full(200_000, 5.0), np.full(200_000, 2.0), numpy_generator(0, "test.lognormal"))
    assert drawn.mean() == pytest.approx(5.0, rel=0.01)
    assert drawn.std() == pytest.approx(2.0, rel=0.03)
    assert log_normal(np.zeros(3), np.ones(3), numpy_generator(0, "x")).tolist() == [0, 0, 0]


def test_scaling_keeps_direction_and_mass() -> None:
    track = replace(tracks(4.0, 1.0, 1), mass=np.array([0.14]))
    half = track.scaled(np.array([0.5]))
    assert half.pt[0] == 2.0
    assert (half.eta[0], half.mass[0]) == (1.0, 0.14)
    assert half.energy[0] == pytest.approx(np.hypot(2 * np.cosh(1.0), 0.14))
