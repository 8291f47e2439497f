"""Physics of a small sample of simulated JetClass jets, against the published averages where known."""

from __future__ import annotations

import numpy as np
import pytest

from hepfm.core.ragged import Array, Ragged
from hepfm.data.schemas.jets import JETCLASS_CLASSES, PID_CLASSES
from hepfm.physics.kinematics import four_momentum, mass_of, wrap_phi

pytestmark = pytest.mark.xdist_group("jet_physics")  # its fixtures are slow: made once, by one worker

Jets = dict[str, Array | Ragged]


def of(jets: Jets, name: str) -> Array:
    """Return a mask of the jets of a class."""
    return np.asarray(jets["jet_label"]) == JETCLASS_CLASSES.index(name)


def lists(jets: Jets, name: str) -> Ragged:
    column = jets[name]
    assert isinstance(column, Ragged)
    return column


def displaced(jets: Jets) -> Array:
    """Return the number of tracks of each jet with |d0| above five times its error."""
    d0, error = lists(jets, "part_d0"), lists(jets, "part_d0_error")
    far = (error.values > 0) & (np.abs(d0.values) > 5 * error.values)
    return np.bincount(d0.row_index(), far, minlength=len(d0))


def test_fields_are_consistent(simulated: Jets) -> None:
    pt = lists(simulated, "part_pt")
    assert (pt.lengths > 0).all()
    assert (pt.values > 0).all()
    falls = np.diff(pt.values) <= 0
    falls[pt.offsets[1:-1] - 1] = True
    assert falls.all()
    charge, pid = lists(simulated, "part_charge").values, lists(simulated, "part_pid").values
    charged = np.isin(pid, [PID_CLASSES.index(name) for name in ("charged_hadron", "electron", "muon")])
    np.testing.assert_array_equal(charge != 0, charged)
    for name in ("d0", "d0_error", "dz", "dz_error"):
        assert (lists(simulated, f"part_{name}").values[~charged] == 0).all()


MASSES = [("Wqq", 80.4), ("Zqq", 91.2), ("Hgg", 125.0), ("Tbqq", 172.5)]


def peak(jets: Jets, name: str, mass: float) -> float:
    """Return the median soft-drop mass within 20 % of the resonance, where most jets must lie."""
    values = np.asarray(jets["jet_softdrop_mass"])[of(jets, name)]
    near = values[(values > 0.8 * mass) & (values < 1.2 * mass)]
    assert len(near) > 0.5 * len(values)
    return float(np.median(near))


@pytest.mark.parametrize(("name", "mass"), MASSES)
def test_soft_drop_masses_peak_at_the_resonance(as_meant: Jets, name: str, mass: float) -> None:
    assert peak(as_meant, name, mass) == pytest.approx(mass, rel=0.03)


@pytest.mark.parametrize(("name", "mass"), MASSES)
def test_peaks_of_the_published_detector_are_a_little_lower(simulated: Jets, name: str, mass: float) -> None:
    """Tracks scaled to the calorimeter cost 1-4 % of the mass; 2 % more for the size of this sample."""
    assert 0.94 * mass < peak(simulated, name, mass) < 1.02 * mass


def test_multiplicity_order(simulated: Jets) -> None:
    lengths = lists(simulated, "part_pt").lengths
    mean = [lengths[of(simulated, name)].mean() for name in ("Hgg", "Tbqq", "H4q", "Hbb", "Wqq")]
    assert mean == sorted(mean, reverse=True)


def test_substructure_order(simulated: Jets) -> None:
    tau = [np.asarray(simulated[f"jet_tau{n}"]) for n in (1, 2, 3)]
    tau21, tau32 = tau[1] / tau[0], tau[2] / tau[1]
    assert np.mean(tau21[of(simulated, "Wqq")]) < np.mean(tau21[of(simulated, "Hgg")])
    assert np.mean(tau21[of(simulated, "Wqq")]) < np.mean(tau21[of(simulated, "QCD")]) - 0.1
    assert np.mean(tau32[of(simulated, "Tbqq")]) < np.mean(tau32[of(simulated, "Wqq")]) - 0.1


def test_displaced_tracks_order(simulated: Jets) -> None:
    count = displaced(simulated)
    b, c, light = (count[of(simulated, name)].mean() for name in ("Hbb", "Hcc", "Wqq"))
    assert b > 1.5 * c > 1.5 * light


@pytest.mark.parametrize(
    ("quantity", "published", "tolerance"),
    [
        ("jet pt", 618.2, 0.02),
        ("jet mass", 120.6, 0.05),
        ("constituents", 39.4, 0.04),
        ("ln pt", 1.900, 0.02),
        ("ln energy", 2.245, 0.03),
        ("charged hadrons", 18.7, 0.05),
        ("photons", 16.0, 0.05),
        ("neutral hadrons", 4.22, 0.05),
        ("d0 error", 0.585, 0.06),
    ],
)
def test_averages_are_those_of_the_published_data(
    simulated: Jets, quantity: str, published: float, tolerance: float
) -> None:
    """Tolerances are one and a half to three errors of the mean of 800 jets."""
    assert average(simulated, quantity) == pytest.approx(published, rel=tolerance)


def average(jets: Jets, quantity: str) -> float:
    """Return one average over all jets or constituents."""
    pt, number = lists(jets, "part_pt"), len(np.asarray(jets["jet_pt"]))
    pid = np.bincount(lists(jets, "part_pid").values, minlength=6) / number
    momenta = [np.asarray(jets[f"jet_{name}"], np.float64) for name in ("pt", "eta", "phi", "energy")]
    values = {
        "jet pt": momenta[0].mean(),
        "jet mass": mass_of(four_momentum(*momenta)).mean(),
        "constituents": pt.lengths.mean(),
        "ln pt": np.log(pt.values).mean(),
        "ln energy": np.log(lists(jets, "part_energy").values).mean(),
        "charged hadrons": pid[PID_CLASSES.index("charged_hadron")],
        "photons": pid[PID_CLASSES.index("photon")],
        "neutral hadrons": pid[PID_CLASSES.index("neutral_hadron")],
        "d0 error": np.minimum(lists(jets, "part_d0_error").values, 1).sum() / number,
    }
    return float(values[quantity])


def test_stored_eta_is_that_at_the_calorimeter(simulated: Jets) -> None:
    """Spiralling tracks widen deta beyond dphi (0.213 against 0.205 in a large sample)."""
    eta, phi = lists(simulated, "part_eta"), lists(simulated, "part_phi")
    row = eta.row_index()
    delta_eta = eta.values - np.asarray(simulated["jet_eta"])[row]
    delta_phi = wrap_phi(phi.values - np.asarray(simulated["jet_phi"])[row])
    assert delta_eta.std() > delta_phi.std()
    assert np.abs(delta_eta).max() > 1.2
