"""Ingest of ATLAS's PHYSLITE: a real file, and events written here."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from format_files import physlite_branches, write_parquet
from reading import branch, named, read, rows_of, same_in_pieces, sample, sums, values

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.ragged import lists
from hepfm.data.ingest import ingest
from hepfm.data.store import Store

pytest.importorskip("uproot", reason="uproot is not installed")
pytestmark = pytest.mark.usefixtures("tables_stay_open")

REAL = "PHYSLITE_example.root"
read_physlite = partial(read, "physlite")
read_small = partial(read, "physlite", jets="AnalysisJets")
CONTAINERS = {9: "UFO"}


def with_flow_objects(charge: bool = True) -> dict:
    """Add the container that the links of the large jet lead to."""
    flow = {"pt": [[1e3, 2e3, 3e3, 150e3], []], "eta": [[0.0] * 3 + [0.4], []], "phi": [[0.0] * 4, []]}
    flow |= {"m": [[0.0, 0.0, 0.0, -1e-3], []], **({"charge": [[0.0, 0.0, 0.0, -1.0], []]} if charge else {})}
    return physlite_branches() | {f"UFOAuxDyn.{name}": part for name, part in flow.items()}


def test_tracks_are_those_that_the_links_name(tmp_path: Path) -> None:
    columns = read_small(write_parquet(tmp_path / "a.parquet", physlite_branches()))
    np.testing.assert_allclose(named(columns, "jet_pt"), [90, 50])  # the second jet's track was thinned away
    first, second = rows_of(columns, "part_pt")
    np.testing.assert_allclose(first, [np.sin(1.0) / 2e-2, np.sin(1.1) / 1e-1], rtol=1e-6)
    np.testing.assert_allclose(second, [np.sin(1.6) / 5e-2], rtol=1e-6)
    assert rows_of(columns, "part_charge") == [[-1, 1], [1]]
    np.testing.assert_allclose(values(columns, "part_eta")[0], -np.log(np.tan(0.5)), rtol=1e-6)
    np.testing.assert_allclose(values(columns, "part_d0"), [0.2, -0.1, -0.4], rtol=1e-6)
    # From the primary vertex, which is the second of the first event.
    np.testing.assert_allclose(values(columns, "part_dz"), [1.5, 0.5, -1], rtol=1e-6)
    np.testing.assert_allclose(values(columns, "part_d0_error"), [0.1, 0.1, 0.3], rtol=1e-6)
    np.testing.assert_allclose(values(columns, "part_dz_error"), [0.2, 0.2, 0.4], rtol=1e-6)
    momentum = 1e-3 / 2e-5
    np.testing.assert_allclose(values(columns, "part_energy")[0], np.hypot(momentum, 0.13957), rtol=1e-6)
    assert named(columns, "event_number").tolist() == [70, 71]
    assert len(set(named(columns, "event_id").tolist())) == 2


def test_tracks_of_a_cone_and_of_the_vertex(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", physlite_branches())
    both = rows_of(read_physlite(path, constituents="cone_tracks"), "part_charge")
    assert both == [[-1, 1]]
    assert rows_of(read_physlite(path, constituents="cone_tracks", cone=0.16), "part_charge") == [[1]]
    near = read_physlite(path, constituents="cone_tracks", max_z0_sin_theta=1.0)
    assert rows_of(near, "part_charge") == [[1]]


def test_flow_objects_are_followed_by_the_key(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", with_flow_objects())
    columns = read_physlite(path, containers=CONTAINERS)
    assert rows_of(columns, "part_pt") == [[150]]
    assert rows_of(columns, "part_charge") == [[-1]]
    assert "part_d0" not in columns
    np.testing.assert_allclose(values(columns, "part_energy"), 150 * np.cosh(0.4), rtol=1e-6)
    bare = write_parquet(tmp_path / "b.parquet", with_flow_objects(charge=False))
    assert "part_charge" not in read_physlite(bare, containers=CONTAINERS)
    with pytest.raises(ConfigError, match="keys 9, of which the option containers names none"):
        read_physlite(path, containers={8: "UFO"})
    with pytest.raises(DataError, match="has no container 'UF0'; did you mean 'UFO'"):
        read_physlite(path, containers={9: "UF0"})


def test_selection_label_weight_and_observers(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", physlite_branches())
    options = {
        "jets": "AnalysisJets",
        "label": {"take": "HadronConeExclTruthLabelID", "codes": {5: "b", 4: "c"}, "otherwise": "light"},
        "weight": "EventInfoAuxDyn.mcEventWeights",
        "observers": ["Width"],
    }
    store = Store.open(ingest("physlite", [path], output=tmp_path / "store", options=options))
    columns = store.read(["jet_label", "jet_weight", "Width"])
    assert (store.schema.group, store.schema.label_classes) == ("event_id", ("b", "c", "light"))
    assert named(columns, "jet_label").tolist() == [0, 1]
    assert named(columns, "jet_weight").tolist() == [1.5, -0.5]  # the nominal one of two
    np.testing.assert_allclose(named(columns, "Width"), [0.1, 0.3])
    assert named(read_small(path, min_pt=60.0), "jet_pt").tolist() == [90]
    assert named(read_small(path, jet_class="QCD"), "jet_label").tolist() == [0, 0]


def test_pieces_of_one_event_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "a.parquet", physlite_branches())
    same_in_pieces("physlite", path, monkeypatch, "physlite", jets="AnalysisJets")


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {}, r"AnalysisLargeRJets has no GhostTrack.*--set constituents=cone_tracks"),
        ({}, {"constituents": "links"}, r"keys 9, of which"),
        ({}, {"jets": "AnalysisJet"}, r"no container 'AnalysisJet'; did you mean 'AnalysisJets'"),
        ({}, {"jets": "AnalysisJets", "weight": "EventInfoAuxDyn.mcEventWeight"}, r"did you mean .*Weights'"),
        ({}, {"jets": "AnalysisJets", "observers": ["Widht"]}, r"lacks the PHYSLITE branches .*Widht.*Width"),
        (
            {"AnalysisJetsAuxDyn.GhostTrack": [[[{"m_persKey": 7, "m_persIndex": 3}], []], [[]]]},
            {"jets": "AnalysisJets"},
            r"GhostTrack.* point beyond an event's end",
        ),
        (
            {"AnalysisJetsAuxDyn.GhostTrack": [[[{"m_persKey": 7, "m_persIndex": 0}]], [[]]]},
            {"jets": "AnalysisJets"},
            r"differ in length",
        ),
        (
            {"InDetTrackParticlesAuxDyn.qOverP": [[1e-4, 0.0, 1e-4], [5e-5]]},
            {"jets": "AnalysisJets"},
            r"tracks without momentum",
        ),
        (
            {"InDetTrackParticlesAuxDyn.phi": [[0.3, 0.35], [3.1]]},
            {"jets": "AnalysisJets"},
            r"lists of different lengths",
        ),
        (
            {"InDetTrackParticlesAuxDyn.definingParametersCovMatrixDiag": [[[0.1]] * 3, [[0.1]]]},
            {"jets": "AnalysisJets"},
            r"must hold the variances of each track",
        ),
        (
            {},
            {
                "jets": "AnalysisJets",
                "label": {"take": "HadronConeExclTruthLabelID", "codes": {5: "b", 0: "u"}},
            },
            r"4 is none of the codes 5, 0",
        ),
    ],
)
def test_bad_files_and_options(tmp_path: Path, changes: dict, options: dict, message: str) -> None:
    path = write_parquet(tmp_path / "a.parquet", physlite_branches() | changes)
    with pytest.raises((DataError, ConfigError), match=message):
        read_physlite(path, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": {"take": "x"}}, "'take' .* and 'codes' .*are needed"),
        ({"label": {"take": "x", "codes": {0: "a"}}, "jet_class": "QCD"}, "either label or jet_class"),
        ({"constituents": "tracks"}, "constituents"),
    ],
)
def test_options_that_exclude_each_other(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_physlite(Path("none.root"), **options)


def test_a_real_file_has_charged_parts_of_jets_from_the_vertex() -> None:
    path = sample(REAL)
    small = read_small(path)
    assert len(named(small, "jet_pt")) == 346
    assert 5 < named(small, "jet_pt").min() < 15  # GeV
    assert (lists(small, "part_pt").values > 0.4).all()
    charged = sums(small)["pt"] / named(small, "jet_pt")
    assert 0.45 < np.median(charged) < 0.65
    assert 0.01 < np.median(np.abs(values(small, "part_dz"))) < 0.3  # mm, as the tracker measures
    assert 0.01 < np.median(values(small, "part_d0_error")) < 0.1
    large = read_physlite(path, constituents="cone_tracks", max_z0_sin_theta=3.0)
    assert 0.45 < np.median(sums(large)["pt"] / named(large, "jet_pt")) < 0.75


def test_the_sign_of_d0_is_that_of_vertices_beside_the_beam() -> None:
    """Tracks of a vertex at (x, y) from the beam line have d0 = x sin(phi) - y cos(phi), JetClass's sign."""
    path = sample(REAL)
    columns = read_physlite(path, jets="AnalysisJets", constituents="cone_tracks", cone=0.4)
    first = {axis: branch(path, f"PrimaryVerticesAuxDyn.{axis}")[:, 0] for axis in "xyz"}
    names = ("PosX", "PosY", "PosZ", "TiltXZ", "TiltYZ")
    beam = [branch(path, f"EventInfoAuxDyn.beam{name}") for name in names]
    number = np.asarray(branch(path, "EventInfoAuxDyn.eventNumber")).astype(int)
    first = {axis: np.asarray(column) for axis, column in first.items()}
    along = first["z"] - np.asarray(beam[2])
    x, y = (
        first[axis] - np.asarray(place) - np.asarray(tilt) * along
        for axis, place, tilt in (("x", beam[0], beam[3]), ("y", beam[1], beam[4]))
    )
    order = np.argsort(number)
    place = order[np.searchsorted(number[order], named(columns, "event_number"))]
    event = place[lists(columns, "part_pt").row_index()]
    phi = values(columns, "part_phi")
    expected, d0 = x[event] * np.sin(phi) - y[event] * np.cos(phi), values(columns, "part_d0")
    kept = (np.abs(values(columns, "part_dz")) < 0.5) & (np.abs(d0) < 0.05)
    assert np.corrcoef(expected[kept], d0[kept])[0, 1] > 5 / np.sqrt(kept.sum())
