"""Ingest of Delphes's output: a real file, and tracks and towers written here."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import reading
from format_files import delphes_branches, write_delphes
from reading import SAMPLES, named, same_in_pieces, sums

from hepfm.core.errors import DataError
from hepfm.core.ragged import lists
from hepfm.data.schemas.jets import PID_CLASSES

pytest.importorskip("uproot", reason="uproot is not installed")
pytestmark = pytest.mark.usefixtures("tables_stay_open")

REAL = SAMPLES / "delphes_events_example.root"
real = pytest.mark.skipif(not REAL.exists(), reason="the sample files are not there")

read = functools.partial(reading.read, "delphes")
read_once = functools.cache(read)


@real
@pytest.mark.parametrize("jets", ["JetPUPPIAK8", "JetPUPPIAK15"])
def test_constituents_sum_to_the_jet(jets: str) -> None:
    columns = read_once(REAL, jets=jets)
    total = sums(columns)
    pt, energy = named(columns, "jet_pt"), named(columns, "jet_energy")
    np.testing.assert_allclose(total["pt"], pt, rtol=1e-6)
    np.testing.assert_allclose(total["phi"], named(columns, "jet_phi"), atol=1e-6)
    np.testing.assert_allclose(total["pz"], pt * np.sinh(named(columns, "jet_eta").astype(float)), rtol=1e-4)
    # Tracks that were scaled to pt 0 still have energy in the jet.
    assert (total["energy"] <= energy * (1 + 1e-5)).all()
    assert np.median(total["energy"] / energy) > 0.9999
    whole = np.isclose(total["energy"], energy, rtol=1e-5)
    assert whole.mean() > 0.5


@real
def test_by_positions_as_in_jetclass_the_jet_is_missed() -> None:
    total, columns = sums(read_once(REAL, eta="position")), read_once(REAL)
    np.testing.assert_allclose(total["pt"], named(columns, "jet_pt"), rtol=1e-6)
    pz = named(columns, "jet_pt") * np.sinh(named(columns, "jet_eta").astype(float))
    assert np.median(np.abs(total["pz"] - pz)) > 1.0


@real
def test_tracks_are_measured_from_the_vertex_of_the_jet_in_millimetres() -> None:
    columns = read_once(REAL)
    charge = lists(columns, "part_charge").values
    dz, error = (lists(columns, f"part_{name}").values for name in ("dz", "dz_error"))
    # Before: tens of millimetres, the length of the beam spot.
    assert 0.01 < np.median(np.abs(dz[charge != 0])) < 0.1
    assert 0.01 < np.median(error[charge != 0]) < 0.2
    assert not dz[charge == 0].any()
    pid = lists(columns, "part_pid").values
    charged = np.isin(pid, [PID_CLASSES.index(name) for name in ("charged_hadron", "electron", "muon")])
    np.testing.assert_array_equal(np.abs(charge), charged)
    assert (pid == PID_CLASSES.index("neutral_hadron")).any()


@real
def test_the_jets_have_their_substructure_and_event() -> None:
    columns = read_once(REAL)
    energy, pt, eta = (named(columns, f"jet_{name}").astype(float) for name in ("energy", "pt", "eta"))
    mass = np.sqrt(energy**2 - (pt * np.cosh(eta)) ** 2)
    softdrop = named(columns, "jet_softdrop_mass")
    assert (softdrop > 0).all()
    assert (softdrop < mass + 1).all()
    for more, less in ((1, 2), (2, 3), (3, 4)):
        assert (named(columns, f"jet_tau{more}") >= named(columns, f"jet_tau{less}")).all()
    assert len(np.unique(named(columns, "event_id"))) == 10


@real
def test_jets_whose_candidates_were_not_kept_are_refused() -> None:
    with pytest.raises(DataError, match="of 1648 constituents of Jet 1634 are in none of the branches"):
        read(REAL, jets="Jet")
    with pytest.raises(DataError, match=r"lacks the Delphes branches JetPUPI.PT.*nearest.*JetPUPPI.PT"):
        read(REAL, jets="JetPUPI")


def test_tracks_and_towers_are_found_by_their_numbers(tmp_path: Path) -> None:
    columns = read(write_delphes(tmp_path / "events.parquet"), weight="Event.Weight", jet_class="QCD")
    pt = lists(columns, "part_pt")
    np.testing.assert_allclose(pt.values, [60, 40, 9, 30, 20], rtol=1e-6)
    assert pt.lengths.tolist() == [3, 1, 1]
    names = [PID_CLASSES[number] for number in lists(columns, "part_pid").values]
    assert names == ["photon", "charged_hadron", "neutral_hadron", "charged_hadron", "muon"]
    assert lists(columns, "part_charge").values.tolist() == [0, 1, 0, 1, 1]
    np.testing.assert_allclose(lists(columns, "part_d0").values, [0, 0.1, 0, 0.3, 0.4], rtol=1e-6)
    np.testing.assert_allclose(lists(columns, "part_dz").values, [0, 0.5, 0, 1, -1], rtol=1e-5)
    expected = [60 * np.cosh(0.4), np.hypot(40 * np.cosh(0.5), 0.14)]
    np.testing.assert_allclose(lists(columns, "part_energy").values[:2], expected, rtol=1e-6)
    np.testing.assert_allclose(named(columns, "jet_weight"), [0.5, 0.25, 0.25])
    assert named(columns, "jet_label").tolist() == [0, 0, 0]
    first, second, third = named(columns, "event_id").tolist()
    assert first != second == third


def test_without_vertices_tracks_are_measured_from_the_centre(tmp_path: Path) -> None:
    branches = delphes_branches()
    del branches["Vertex.Z"]
    columns = read(write_delphes(tmp_path / "events.parquet", branches))
    np.testing.assert_allclose(lists(columns, "part_dz").values, [0, 50.5, 0, -19, -21], rtol=1e-6)


def test_jets_are_selected(tmp_path: Path) -> None:
    path = write_delphes(tmp_path / "events.parquet")
    assert named(read(path, min_pt=25.0), "jet_pt").tolist() == [108, 30]
    assert named(read(path, max_abs_eta=0.5), "jet_pt").tolist() == [108]


def test_pieces_of_one_event_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same_in_pieces("delphes", write_delphes(tmp_path / "events.parquet"), monkeypatch, "delphes")


def test_numbers_that_two_candidates_share_are_refused(tmp_path: Path) -> None:
    branches = delphes_branches()
    branches["EFlowTrack.fUniqueID"] = [[11, 11], [11, 13]]
    with pytest.raises(DataError, match="two candidates of EFlowTrack in one event have the same fUniqueID"):
        read(write_delphes(tmp_path / "events.parquet", branches))


def test_a_candidate_of_two_branches_is_taken_from_the_first(tmp_path: Path) -> None:
    branches = delphes_branches()
    branches["EFlowPhoton.fUniqueID"] = [[11], []]
    branches["FatJet.Constituents"] = [[[15, 11]], [[11], [13]]]
    pt = lists(read(write_delphes(tmp_path / "events.parquet", branches)), "part_pt")
    np.testing.assert_allclose(pt.row(0), [40, 9], rtol=1e-6)


def test_the_same_number_in_another_file_is_another_event(tmp_path: Path) -> None:
    branches = delphes_branches()
    branches["FatJet.PT"] = [[109.0], [31.0, 20.0]]
    first = named(read(write_delphes(tmp_path / "a.parquet")), "event_id")
    second = named(read(write_delphes(tmp_path / "b.parquet", branches)), "event_id")
    assert not np.isin(first, second).any()
