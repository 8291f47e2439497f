"""Whole events of NanoAOD, Delphes and PHYSLITE: objects, selection, overlaps, generator particles."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_files import (
    delphes_event_branches,
    nanoaod_event_branches,
    physlite_event_branches,
    write_delphes,
    write_nanoaod,
    write_parquet,
)
from reading import branch, named, read, rows_of, same_in_pieces, sample, values

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.ragged import Columns
from hepfm.core.schema import Level
from hepfm.data.ingest import ingest
from hepfm.data.schemas.events import INITIAL_STATES, OBJECT_ROLES, OBJECT_TYPES
from hepfm.data.store import Store

pytest.importorskip("uproot", reason="uproot is not installed")
pytestmark = pytest.mark.usefixtures("tables_stay_open")

read_nano = partial(read, "nanoaod_events")
read_delphes = partial(read, "delphes_events")
read_physlite = partial(read, "physlite_events")


@pytest.fixture
def nano(tmp_path: Path) -> Path:
    return write_nanoaod(tmp_path / "TTto2L2Nu.root", nanoaod_event_branches())


@pytest.fixture
def delphes(tmp_path: Path) -> Path:
    return write_delphes(tmp_path / "z.parquet", delphes_event_branches())


@pytest.fixture
def physlite(tmp_path: Path) -> Path:
    return write_parquet(tmp_path / "z.parquet", physlite_event_branches())


def objects(columns: Columns, event: int, level: int = 0) -> list[str]:
    """Return type and pt of the objects of a level of an event."""
    rows = [rows_of(columns, f"object_{name}")[event] for name in ("type", "pt", "level")]
    return [f"{OBJECT_TYPES[int(kind)]} {pt:.3g}" for kind, pt, at in zip(*rows, strict=True) if at == level]


def roles(columns: Columns, event: int, level: int = 0) -> dict[str, str]:
    """Return the roles of the objects of a level of an event, of those that have one."""
    rows = [rows_of(columns, f"object_{name}")[event] for name in ("type", "pt", "level", "role")]
    return {
        f"{OBJECT_TYPES[int(kind)]} {pt:.3g}": OBJECT_ROLES[int(role)]
        for kind, pt, at, role in zip(*rows, strict=True)
        if at == level and role
    }


def test_objects_are_selected_sorted_and_without_overlap(nano: Path) -> None:
    columns = read_nano(nano)
    # The jet at the electron, the soft jet, the muon without isolation and the tau of low score are gone.
    assert objects(columns, 0) == ["jet 90", "met 70", "jet 60", "electron 40", "muon 30", "tau 22"]
    assert objects(columns, 1) == ["photon 21", "met 5"]
    assert objects(columns, 2) == ["met 3"]
    assert set(values(columns, "object_level")) == {0}
    assert named(columns, "event_lumi").tolist() == [7, 7, 8]
    assert not {"object_pdg", "object_role", "event_label", "event_weight"} & set(columns)


def test_fields_of_objects_are_those_of_the_file(nano: Path) -> None:
    columns = read_nano(nano)
    row = {
        name: rows_of(columns, f"object_{name}")[0] for name in ("eta", "phi", "energy", "charge", "b_tag")
    }
    np.testing.assert_allclose(row["b_tag"], [0.9, 0, 0.1, 0, 0, 0], rtol=1e-6)
    assert row["charge"] == [0, 0, 0, -1, 1, 1]
    np.testing.assert_allclose(row["energy"][0], np.hypot(90 * np.cosh(0.1), 9), rtol=1e-6)
    assert (row["eta"][1], row["energy"][1], row["phi"][1]) == (0, 70, 0.5)


def test_options_choose_objects(nano: Path) -> None:
    columns = read_nano(nano, overlap=None, jets={"max_abs_eta": None})
    assert objects(columns, 0)[2:4] == ["jet 60", "jet 40.5"]
    assert objects(columns, 1)[0] == "jet 50"
    columns = read_nano(nano, jets={"select": "tightId"}, taus={"select": "pt > 0"}, muons=None, photons=None)
    assert objects(columns, 0) == ["jet 90", "met 70", "electron 40", "tau 25", "tau 22"]
    columns = read_nano(nano, muons={"min_pt": 40}, electrons={"min_pt": 50}, met=None)
    assert objects(columns, 0) == ["jet 90", "jet 60", "jet 40.5", "tau 22"]
    tags = read_nano(nano, jets={"b_tag": "btagPNetB > 0.5"})
    assert rows_of(tags, "object_b_tag")[0] == [1, 0, 0, 0, 0, 0]


def test_a_muon_takes_the_tau_at_its_place(nano: Path) -> None:
    assert "muon 12" in objects(read_nano(nano, muons={"select": "looseId"}), 0)
    assert "tau 22" not in objects(read_nano(nano, muons={"select": "looseId"}), 0)


def test_missing_momentum_may_balance_the_objects(nano: Path) -> None:
    columns = read_nano(nano, met="objects")
    pt, phi = (np.array(rows_of(columns, f"object_{name}")[0]) for name in ("pt", "phi"))
    assert abs((pt * np.exp(1j * phi)).sum()) < 1e-4
    assert objects(columns, 2) == ["met 0"]


def test_generator_particles_roles_and_matches(nano: Path) -> None:
    columns = read_nano(nano, generator=True)
    assert objects(columns, 0, level=1) == [
        *("top 100", "bottom 88", "top 80", "bottom 61", "w 60", "w 50"),
        *("electron 41", "neutrino 33", "neutrino 31", "muon 29"),
    ]
    assert roles(columns, 0, level=1) == {
        "bottom 88": "t_b",
        "bottom 61": "tbar_b",
        "electron 41": "t_l",
        "neutrino 33": "t_nu",
        "neutrino 31": "tbar_nu",
        "muon 29": "tbar_l",
    }
    # Charges are not asked for: the electron of the file is the nearest to the positron.
    assert roles(columns, 0) == {
        "jet 90": "t_b",
        "jet 60": "tbar_b",
        "electron 40": "t_l",
        "muon 30": "tbar_l",
    }
    near = roles(read_nano(nano, generator=True, match_radius=0.05), 0)
    assert near == {"electron 40": "t_l", "muon 30": "tbar_l"}
    states = [INITIAL_STATES[number] for number in named(columns, "event_initial_state")]
    assert states == ["gg", "qg", "gg"]
    assert rows_of(columns, "object_pdg")[0][6] == 6


def test_weight_class_and_selection_of_events(nano: Path, tmp_path: Path) -> None:
    options = {
        "weight": "genWeight",
        "event_class": {"TT*": "ttbar", "DY*": "Zjets"},
        "select": "HLT_IsoMu24",
    }
    store = Store.open(ingest("nanoaod_events", [nano], output=tmp_path / "s", options=options))
    assert store.schema.row is Level.EVENT
    assert (store.schema.label, store.schema.weight) == ("event_label", "event_weight")
    columns = store.read(store.schema.names())
    assert named(columns, "event_weight").tolist() == [1.5, -1.5]
    assert named(columns, "event_number").tolist() == [70, 70]
    assert objects(columns, 1) == ["met 3"]
    source = store.manifest.provenance["source"]
    assert (source["select_electron"], source["b_tag_jet"]) == ("cutBased >= 2", "maximum(btagPNetB, 0)")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"jets": {"collection": "Jets"}}, DataError, "has no 'Jets' for the option jets.*jets=null"),
        ({"met": "MET"}, DataError, "has no 'MET' for the option met.*met=null"),
        ({"muons": {"select": "tightID"}}, ConfigError, "muon, select: .*no 'tightID'"),
        ({"jets": {"b_tag": "btag"}}, ConfigError, "jet, b_tag: .*did you mean 'btagPNetB'"),
        ({"weight": "genweight"}, DataError, "lacks the branch of the option weight, genweight.*genWeight"),
        ({"select": "HLT"}, ConfigError, "no 'HLT'"),
        ({"select": "Jet_pt > 30"}, DataError, "does not hold one number"),
        (
            dict.fromkeys(("jets", "electrons", "muons", "taus", "photons", "met")),
            ConfigError,
            "all null",
        ),
        ({"event_class": {"DY*": "Zjets"}}, DataError, "fits none of the patterns"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    nano: Path, tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ingest("nanoaod_events", [nano], output=tmp_path / "s", options=options)
    assert not (tmp_path / "s").exists()


def test_files_that_lack_branches_are_refused(tmp_path: Path) -> None:
    branches = nanoaod_event_branches()
    del branches["Tau_idDeepTau2018v2p5VSjet"]
    path = write_nanoaod(tmp_path / "tau.root", branches)
    with pytest.raises(DataError, match=r"none of the defaults of taus: select .*idMVAoldDM"):
        read_nano(path)
    assert objects(read_nano(path, taus=None), 1) == ["photon 21", "met 5"]
    del branches["Electron_phi"], branches["GenPart_statusFlags"]
    path = write_nanoaod(tmp_path / "phi.root", branches)
    with pytest.raises(DataError, match="no columns for Electron: phi"):
        read_nano(path)
    with pytest.raises(DataError, match="lacks the generator's branches GenPart_\\*: statusFlags"):
        read_nano(path, generator=True, electrons=None, taus=None)


def test_damaged_records_are_refused_with_the_row(tmp_path: Path) -> None:
    branches = nanoaod_event_branches()
    branches["GenPart_genPartIdxMother"][1] = [-1, 2, 1]
    with pytest.raises(DataError, match=r"a\.root, row 1: a particle of the generator's record is its own"):
        read_nano(write_nanoaod(tmp_path / "a.root", branches), generator=True)
    branches["GenPart_genPartIdxMother"][1] = [-1, -1, 3]
    with pytest.raises(DataError, match=r"b\.root, row 1: particle 15 .* outside of its event"):
        read_nano(write_nanoaod(tmp_path / "b.root", branches), generator=True)
    branches["Jet_mass"][0] = [1.0]
    with pytest.raises(DataError, match=r"c\.root: lists of 'jet, mass' have other lengths"):
        read_nano(write_nanoaod(tmp_path / "c.root", branches))


def test_pieces_of_one_event_give_the_same(
    nano: Path, physlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, path in (("nanoaod_events", nano), ("physlite_events", physlite)):
        same_in_pieces(name, path, monkeypatch, "event_objects", generator=True)


def test_delphes_taus_are_tagged_jets(delphes: Path) -> None:
    columns = read_delphes(delphes, generator=True, weight="Event.Weight")
    assert objects(columns, 0) == ["jet 50", "muon 45", "muon 40", "tau 30", "met 12"]
    assert rows_of(columns, "object_charge")[0][:5] == [0, -1, 1, -1, 0]
    assert rows_of(columns, "object_b_tag")[0][:5] == [1, 0, 0, 0, 0]
    assert rows_of(columns, "object_eta")[0][4] == 0
    assert objects(columns, 0, level=1) == ["muon 46", "muon 41", "z 5"]
    assert roles(columns, 0) == {"muon 45": "z_l", "muon 40": "z_l"}
    assert objects(columns, 1, level=1) == ["gluon 75", "photon 26"]
    states = [INITIAL_STATES[number] for number in named(columns, "event_initial_state")]
    assert states == ["qqbar", "other"]
    assert named(columns, "event_weight").tolist() == [0.5, 0.25]
    second = read_delphes(delphes, jets={"b_tag": "(BTag & 2) != 0"}, taus=None)
    assert rows_of(second, "object_b_tag")[0] == [1, 0, 0, 1, 0]
    with pytest.raises(DataError, match="has no 'JetPUPPI' for the option jets"):
        read_delphes(delphes, jets={"collection": "JetPUPPI"})


def test_physlite_is_in_gev_and_balanced(physlite: Path) -> None:
    columns = read_physlite(physlite, generator=True, weight="EventInfoAuxDyn.mcEventWeights")
    assert objects(columns, 0) == ["jet 60", "met 47.3", "electron 45", "electron 40"]
    assert objects(columns, 1) == ["jet 90", "met 79.4", "tau 30", "photon 25"]
    np.testing.assert_allclose(rows_of(columns, "object_b_tag")[0][:4], [0.9, 0, 0, 0], rtol=1e-6)
    energy = rows_of(columns, "object_energy")[0][2]
    np.testing.assert_allclose(energy, 45 * np.cosh(0.1), rtol=1e-6)
    assert objects(columns, 0, level=1) == ["electron 44.9", "electron 40", "z 1"]
    assert roles(columns, 0) == {"electron 45": "z_l", "electron 40": "z_l"}
    assert named(columns, "event_weight").tolist() == [1.5, -0.5]
    states = [INITIAL_STATES[number] for number in named(columns, "event_initial_state")]
    assert states == ["qqbar", "gg"]


def test_damaged_links_of_physlite_are_refused(tmp_path: Path) -> None:
    branches = physlite_event_branches()
    branches["HardScatterParticlesAuxDyn.prodVtxLink.m_persIndex"][0][4] = 2
    with pytest.raises(DataError, match=r"prodVtxLink.* point beyond an event's end"):
        read_physlite(write_parquet(tmp_path / "a.parquet", branches), generator=True)


def test_real_top_pairs_have_all_their_roles() -> None:
    columns = read_nano(sample("nano_tt_v15.root"), generator=True)
    level, role = values(columns, "object_level"), values(columns, "object_role")
    made = {
        OBJECT_ROLES[number]: count for number, count in enumerate(np.bincount(role[level == 1])) if count
    }
    assert {name: made[name] for name in ("t_b", "t_q", "tbar_b", "tbar_q")} == {
        "t_b": 200,
        "t_q": 400,
        "tbar_b": 200,
        "tbar_q": 400,
    }
    # b quarks make b jets: the tagger's score is high for these, and low for those of light quarks.
    tag = values(columns, "object_b_tag")[level == 0]
    seen = np.array([OBJECT_ROLES[number][-2:] for number in role[level == 0]])
    assert np.median(tag[seen == "_b"]) > 0.5 > 0.1 > np.median(tag[seen == "_q"])


def test_real_events_have_the_missing_momentum_of_their_branch() -> None:
    for name, read_one, of, tree in (
        ("nano_tt_v15.root", read_nano, "PuppiMET_pt", "Events"),
        ("pfnano.root", read_nano, "PuppiMET_pt", "Events"),
        ("delphes_events_example.root", read_delphes, "MissingET.MET", "Delphes"),
    ):
        columns = read_one(sample(name))
        kind = values(columns, "object_type")
        expected = np.ravel(branch(sample(name), of, tree).to_numpy())
        np.testing.assert_allclose(
            values(columns, "object_pt")[kind == OBJECT_TYPES.index("met")], expected, rtol=1e-6
        )


def test_real_w_bosons_decay_to_leptons_of_their_charge() -> None:
    columns = read_nano(sample("nanoAOD_2015_CMS_Open_Data_ttbar.root"), generator=True)
    made = values(columns, "object_level") == 1
    kind, charge = values(columns, "object_type")[made], values(columns, "object_charge")[made]
    role = values(columns, "object_role")[made]
    rows = np.repeat(
        np.arange(len(named(columns, "event_run"))), [sum(row) for row in rows_of(columns, "object_level")]
    )
    leptons = np.isin(role, [OBJECT_ROLES.index(name) for name in ("w_l", "w_tau")])
    bosons = kind == OBJECT_TYPES.index("w")
    size = rows.max() + 1
    has_w = np.bincount(rows[bosons], minlength=size) == 1
    assert has_w.sum() > 190
    charges = [np.bincount(rows[chosen], charge[chosen], size)[has_w] for chosen in (leptons, bosons)]
    np.testing.assert_array_equal(*charges)


def test_real_physlite() -> None:
    columns = read_physlite(sample("PHYSLITE_example.root"), generator=True)
    made = values(columns, "object_level") == 1
    kind = values(columns, "object_type")
    assert ((kind == OBJECT_TYPES.index("electron")) & made).sum() == 2 * len(named(columns, "event_run"))
    assert 30 < np.median(values(columns, "object_pt")[~made & (kind == OBJECT_TYPES.index("electron"))]) < 60
