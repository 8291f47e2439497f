"""Ingest of CMS NanoAOD with candidates: official files and PFNano, real and written here."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import reading
from format_files import nanoaod_branches, write_nanoaod
from reading import SAMPLES, branch, named, same_in_pieces

from hepfm.core.errors import DataError
from hepfm.core.ragged import Array, Columns, lists
from hepfm.data.ingest import ingest
from hepfm.data.readers.event_files import event_ids
from hepfm.data.schemas.jets import PID_CLASSES
from hepfm.data.store import Store

pytest.importorskip("uproot", reason="uproot is not installed")
pytestmark = pytest.mark.usefixtures("tables_stay_open")

V15, PFNANO, PLAIN = (
    SAMPLES / f"{name}.root" for name in ("nano_tt_v15", "pfnano", "nanoAOD_2015_CMS_Open_Data_ttbar")
)
real = pytest.mark.skipif(not SAMPLES.exists(), reason="the sample files are not there")

read = functools.partial(reading.read, "nanoaod")
read_once = functools.cache(read)


def mass(columns: Columns) -> Array:
    pt, eta, energy = (named(columns, f"jet_{name}").astype(float) for name in ("pt", "eta", "energy"))
    return np.sqrt(energy**2 - (pt * np.cosh(eta)) ** 2)


def branch_of_jets(path: Path, name: str) -> Array:
    return np.concatenate([np.asarray(row) for row in branch(path, name, "Events").tolist()])


@real
def test_constituents_of_official_files_sum_to_the_uncalibrated_jet() -> None:
    columns = read_once(V15)
    has = np.abs(branch_of_jets(V15, "FatJet_eta")) < 2.5
    uncalibrated = (1 - branch_of_jets(V15, "FatJet_rawFactor"))[has]
    assert len(named(columns, "jet_pt")) == has.sum() == 62
    # The file keeps 10 bits of each number.
    np.testing.assert_allclose(
        named(columns, "jet_pt"), uncalibrated * named(columns, "cms_jet_pt"), rtol=3e-3
    )
    np.testing.assert_allclose(mass(columns), uncalibrated * named(columns, "cms_jet_mass"), rtol=1e-2)
    counts = branch_of_jets(V15, "FatJet_nConstituents")[has]
    np.testing.assert_array_equal(lists(columns, "part_pt").lengths, counts)


@real
def test_constituents_of_pfnano_sum_to_the_uncalibrated_jet_with_their_puppi_weights() -> None:
    uncalibrated = 1 - branch_of_jets(PFNANO, "FatJet_rawFactor")
    weighted, measured = read_once(PFNANO, puppi=True), read_once(PFNANO)
    expected = uncalibrated * named(weighted, "cms_jet_mass")
    np.testing.assert_allclose(
        named(weighted, "jet_pt"), uncalibrated * named(weighted, "cms_jet_pt"), rtol=3e-3
    )
    np.testing.assert_allclose(mass(weighted), expected, rtol=1e-2)
    assert np.median(mass(measured) / expected) > 1.03


@real
def test_small_jets_of_pfnano_are_made_of_all_that_is_linked() -> None:
    columns = read_once(PFNANO, jets="Jet")
    counts = branch_of_jets(PFNANO, "Jet_nConstituents")
    np.testing.assert_array_equal(lists(columns, "part_pt").lengths, counts)
    uncalibrated = 1 - branch_of_jets(PFNANO, "Jet_rawFactor")
    np.testing.assert_allclose(
        named(columns, "jet_pt"), uncalibrated * named(columns, "cms_jet_pt"), rtol=5e-3
    )
    assert "jet_softdrop_mass" not in columns


@real
@pytest.mark.parametrize("path", [V15, PFNANO], ids=["official", "pfnano"])
def test_charges_and_types_agree(path: Path) -> None:
    columns = read_once(path)
    charge, pid = lists(columns, "part_charge").values, lists(columns, "part_pid").values
    charged = np.isin(pid, [PID_CLASSES.index(name) for name in ("charged_hadron", "electron", "muon")])
    np.testing.assert_array_equal(np.abs(charge), charged)
    assert 0.4 < charged.mean() < 0.8
    assert abs(charge.sum()) < 0.1 * charged.sum()


@real
def test_impact_parameters_are_in_millimetres() -> None:
    columns = read_once(PFNANO)
    d0, error = lists(columns, "part_d0").values, lists(columns, "part_d0_error").values
    hard = (lists(columns, "part_pt").values > 5) & (error > 0)
    # 10 to 100 micrometres, as the silicon detector measures.
    assert 0.01 < np.median(error[hard]) < 0.1
    assert 0.003 < np.median(np.abs(d0[hard])) < 0.1
    assert not d0[lists(columns, "part_charge").values == 0].any()
    assert not (error < 0).any()


@real
def test_files_without_candidates_are_refused_with_what_they_lack() -> None:
    with pytest.raises(DataError, match=r"FatJetPFCand_jetIdx and FatJetPFCand_pfCandIdx.*objects only"):
        read(PLAIN)
    with pytest.raises(DataError, match=r"JetPFCand_jetIdx .*--set jets=FatJet"):
        read(V15, jets="Jet")
    with pytest.raises(DataError, match="multiplied by them already"):
        read(V15, puppi=True)


def test_candidates_are_those_that_the_links_name(tmp_path: Path) -> None:
    columns = read(write_nanoaod(tmp_path / "nano.root"))
    assert [row.tolist() for row in map(lists(columns, "part_pt").row, range(2))] == [[100, 50, 5], [300, 7]]
    assert lists(columns, "part_charge").values.tolist() == [0, 1, 1, -1, 1]
    names = [PID_CLASSES[number] for number in lists(columns, "part_pid").values]
    assert names == ["photon", "charged_hadron", "charged_hadron", "electron", "muon"]
    # cm to mm, JetClass's sign, and nothing for candidates without track details.
    np.testing.assert_allclose(lists(columns, "part_d0").values, [0, -0.1, 0, 0.3, -0.2], rtol=1e-6)
    np.testing.assert_allclose(lists(columns, "part_dz").values, [0, 1, 0, 3, 2], rtol=1e-6)
    np.testing.assert_allclose(lists(columns, "part_d0_error").values, [0, 0.01, 0, 0.03, 0.02], rtol=1e-6)
    energy = lists(columns, "part_energy").values
    np.testing.assert_allclose(energy[1], np.hypot(50 * np.cosh(0.1), 0.14), rtol=1e-6)
    np.testing.assert_allclose(energy[3], 300 * np.cosh(1.1), rtol=1e-6)
    np.testing.assert_allclose(named(columns, "cms_jet_pt"), [310, 400])
    np.testing.assert_allclose(named(columns, "jet_softdrop_mass"), [75, 0])
    assert named(columns, "event_lumi").tolist() == [7, 8]
    assert len(set(named(columns, "event_id").tolist())) == 2


def test_links_may_stand_in_any_order(tmp_path: Path) -> None:
    branches = nanoaod_branches()
    branches["FatJetPFCands_jetIdx"][0] = [1, 0, 0]
    pt = lists(read(write_nanoaod(tmp_path / "nano.root", branches)), "part_pt")
    assert [pt.row(jet).tolist() for jet in range(3)] == [[50, 5], [100], [300, 7]]


def test_pieces_of_one_event_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same_in_pieces("nanoaod", write_nanoaod(tmp_path / "nano.root"), monkeypatch, "nanoaod")


def test_puppi_weights_scale_and_drop(tmp_path: Path) -> None:
    columns = read(write_nanoaod(tmp_path / "nano.root"), puppi=True)
    assert [row.tolist() for row in map(lists(columns, "part_pt").row, range(2))] == [[50, 50], [300]]
    branches = nanoaod_branches()
    branches["PFCands_puppiWeight"][2] = [0.0, 1.5]
    with pytest.raises(DataError, match=r"PUPPI weights must lie in \[0, 1\]"):
        read(write_nanoaod(tmp_path / "other.root", branches), puppi=True)


def test_jets_are_selected_and_get_weight_and_class(tmp_path: Path) -> None:
    path = write_nanoaod(tmp_path / "TTto4Q.root")
    options = {"min_pt": 350.0, "weight": "genWeight", "jet_class": {"QCD*": "QCD", "TT*": "Tbqq"}}
    columns = read(path, **options)
    assert named(columns, "cms_jet_pt").tolist() == [400]
    assert named(columns, "jet_weight").tolist() == [-1.5]
    assert named(columns, "jet_label").tolist() == [1]
    assert len(named(read(path, max_abs_eta=0.5), "jet_pt")) == 1
    store = Store.open(ingest("nanoaod", [path], output=tmp_path / "store", options=options))
    assert (store.schema.group, store.schema.weight) == ("event_id", "jet_weight")
    assert store.schema.label_classes == ("QCD", "Tbqq")
    with pytest.raises(DataError, match="fits none of the patterns"):
        read(write_nanoaod(tmp_path / "W.root"), **options)


def test_without_charges_and_errors_the_rest_is_read(tmp_path: Path) -> None:
    branches = nanoaod_branches("PFCand", "pfCandIdx")
    for name in ("charge", "d0Err", "dzErr", "puppiWeight"):
        del branches[f"PFCand_{name}"]
    del branches["FatJet_tau4"]
    columns = read(write_nanoaod(tmp_path / "nano.root", branches))
    assert lists(columns, "part_charge").values.tolist() == [0, 1, 1, -1, 1]
    assert "part_d0_error" not in columns
    np.testing.assert_allclose(lists(columns, "part_d0").values[[1, 3]], [-0.1, 0.3], rtol=1e-6)
    assert "jet_tau3" in columns
    assert "jet_tau4" not in columns


def test_damaged_links_and_missing_branches_are_refused(tmp_path: Path) -> None:
    branches = nanoaod_branches()
    branches["FatJetPFCands_pFCandsIdx"] = [[2, 0, 4], [], [1, 0]]
    with pytest.raises(DataError, match="point beyond an event's end"):
        read(write_nanoaod(tmp_path / "links.root", branches))
    branches = nanoaod_branches()
    branches["PFCands_Mass"] = branches.pop("PFCands_mass")
    with pytest.raises(
        DataError, match=r"lacks the NanoAOD branches PFCands_mass; the nearest .* PFCands_Mass"
    ):
        read(write_nanoaod(tmp_path / "mass.root", branches))


def test_numbers_of_events_differ_by_any_part() -> None:
    run, number = np.array([1, 1, 2, 2]), np.array([1, 2, 1, 2])
    fraction = np.float32([0.1, 0.1, 0.1, 0.1])
    ids = event_ids(run, number, fraction)
    assert ids.dtype == np.int64
    assert (ids >= 0).all()
    others = np.concatenate([ids, event_ids(number, run, 2 * fraction), event_ids(run, number)])
    assert len(np.unique(others)) == 12
    np.testing.assert_array_equal(ids, event_ids(run.astype(np.uint64), number, fraction))
