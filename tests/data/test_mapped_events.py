"""Events of own files with a map: objects by type, the generator's record, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_files import nanoaod_event_branches, write_hdf5, write_nanoaod, write_parquet
from reading import named, read, rows_of, values

from hepfm.core.errors import DataError, HepfmError
from hepfm.core.schema import Level
from hepfm.data.ingest import ingest
from hepfm.data.schemas.events import OBJECT_TYPES
from hepfm.data.store import Store

pytest.importorskip("uproot", reason="uproot is not installed")
pytestmark = pytest.mark.usefixtures("tables_stay_open")

OBJECTS: dict[str, Any] = {
    "jet": {
        **{name: f"jet_{name}" for name in ("pt", "eta", "phi")},
        "mass": "jet_m",
        "b_tag": "jet_score > 0.5",
        "min_pt": 25,
        "unit": "MeV",
    },
    "electron": {
        **{name: f"el_{name}" for name in ("pt", "eta", "phi")},
        "energy": "energy(el_pt, el_eta, 0)",
        "charge": "el_q",
        "select": "el_tight",
        "unit": "MeV",
    },
    "met": {"pt": "met", "phi": "met_phi", "unit": "MeV"},
}
MAP: dict[str, Any] = {
    "rows": "event",
    "objects": OBJECTS,
    "label": {"take": "process", "codes": {0: "ttbar", 1: "Zjets"}},
    "weight": "w",
    "group": "number",
    "observers": ["run"],
}


def columns_of_file() -> dict[str, Any]:
    """Return three events in MeV; the jets of the first are not sorted, and one is too soft."""
    return {
        "jet_pt": [[3e4, 9e4, 2e4], [5e4], []],
        "jet_eta": [[1.0, 0.0, 0.0], [2.0], []],
        "jet_phi": [[7.0, 0.0, 0.0], [2.0], []],
        "jet_m": [[5e3, 9e3, 2e3], [4e3], []],
        "jet_score": [[0.9, 0.1, 0.3], [0.6], []],
        "el_pt": [[4e4, 3e4], [], [2e4]],
        "el_eta": [[0.5, 0.5], [], [1.0]],
        "el_phi": [[1.0, 2.0], [], [1.0]],
        "el_q": [[-1, 1], [], [1]],
        "el_tight": [[1, 0], [], [1]],
        "met": [6e4, 1e4, 3e3],
        "met_phi": [0.1, 0.2, 0.3],
        "process": [0, 1, 1],
        "w": [1.0, 0.5, -1.0],
        "number": [4, 5, 6],
        "run": [7, 7, 8],
    }


def write(path: Path, **changes: Any) -> Path:
    return write_parquet(path, {**columns_of_file(), **changes})


def types(columns: Any, row: int) -> list[str]:
    return [OBJECT_TYPES[int(number)] for number in rows_of(columns, "object_type")[row]]


def test_objects_of_all_types_become_one_list(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet")
    store = Store.open(ingest("mapping", [path], output=tmp_path / "s", options=MAP))
    assert store.schema.row is Level.EVENT
    roles = (store.schema.label, store.schema.weight, store.schema.group)
    assert roles == ("event_label", "event_weight", "event")
    columns = store.read(store.schema.names())
    assert [types(columns, row) for row in range(3)] == [
        ["jet", "met", "electron", "jet"],
        ["jet", "met"],
        ["electron", "met"],
    ]
    np.testing.assert_allclose(rows_of(columns, "object_pt")[0], [90, 60, 40, 30])
    np.testing.assert_allclose(rows_of(columns, "object_phi")[0][3], 7 - 2 * np.pi, rtol=1e-6)
    np.testing.assert_allclose(rows_of(columns, "object_energy")[0][0], np.hypot(90, 9), rtol=1e-6)
    np.testing.assert_allclose(rows_of(columns, "object_energy")[0][2], 40 * np.cosh(0.5), rtol=1e-6)
    assert rows_of(columns, "object_b_tag")[0] == [0, 0, 0, 1]
    assert rows_of(columns, "object_charge")[0] == [0, 0, -1, 0]
    assert set(values(columns, "object_level")) == {0}
    assert named(columns, "event_weight").tolist() == [1, 0.5, -1]
    assert named(columns, "event_label").tolist() == [0, 1, 1]
    assert named(columns, "run").tolist() == [7, 7, 8]


def test_events_are_selected_and_overlaps_removed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", el_phi=[[0.1, 2.0], [], [1.0]], el_eta=[[0.0, 0.5], [], [1.0]])
    columns = read("mapping", path, **MAP, overlap=0.4, select="run == 7")
    assert [types(columns, row) for row in range(2)] == [["met", "electron", "jet"], ["jet", "met"]]


def test_padded_arrays_are_lists(tmp_path: Path) -> None:
    path = write_hdf5(
        tmp_path / "a.h5",
        jets=np.array([[[50.0, 0.1, 0.2, 5.0], [40.0, 1.0, 2.0, 4.0]], [[30.0, 0, 0, 3], [0, 0, 0, 0]]]),
        met=np.array([[20.0, 1.0], [0.0, 0.0]]),
    )
    jet = {name: f"jets[..., {place}]" for place, name in enumerate(("pt", "eta", "phi", "mass"))}
    objects = {"jet": jet, "met": {"pt": "met[..., 0]", "phi": "met[..., 1]"}}
    columns = read("mapping", path, rows="event", objects=objects)
    assert [types(columns, row) for row in range(2)] == [["jet", "jet", "met"], ["jet", "met"]]
    assert not {"object_charge", "object_b_tag"} & set(columns)


def test_the_record_of_a_generator_is_read(tmp_path: Path) -> None:
    path = write_nanoaod(tmp_path / "a.root", nanoaod_event_branches())
    momentum = ("pt", "eta", "phi", "mass")
    spec = {
        "rows": "event",
        "objects": {"jet": {name: f"Jet_{name}" for name in momentum}},
        "generator": {
            **{name: f"GenPart_{name}" for name in momentum},
            "pdg": "GenPart_pdgId",
            "mother": "GenPart_genPartIdxMother",
            "hard": "((GenPart_statusFlags & 128) != 0) & (GenPart_status != 21)",
            "partons": ["Generator_id1", "Generator_id2"],
        },
        "select": "event == 70",
    }
    branches = {"electrons": None, "muons": None, "taus": None, "photons": None, "met": None}
    jets = {"min_pt": 0, "max_abs_eta": None}
    expected = read(
        "nanoaod_events", path, **branches, jets=jets, overlap=None, generator=True, select="event == 70"
    )
    columns = read("mapping", path, **spec)
    for name in ("object_pt", "object_type", "object_role", "object_pdg", "event_initial_state"):
        np.testing.assert_array_equal(values(columns, name), values(expected, name))


def test_one_list_of_all_objects_is_mapped_by_its_fields(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "a.parquet",
        {
            "pt": [[20.0, 50.0], [30.0]],
            "eta": [[0.0, 1.0], [0.0]],
            "phi": [[1.0, 2.0], [3.0]],
            "kind": [[1, 0], [9]],
        },
    )
    fields: dict[str, Any] = {f"object_{name}": name for name in ("pt", "eta", "phi")}
    fields["object_energy"] = "energy(pt, eta, 0)"
    fields["object_type"] = {"take": "kind", "codes": {0: "jet", 1: "electron", 9: "met"}}
    fields["object_level"] = {"take": "0 * kind", "codes": {0: "reconstructed"}}
    columns = read("mapping", path, rows="event", fields=fields)
    assert [types(columns, row) for row in range(2)] == [["jet", "electron"], ["met"]]
    assert rows_of(columns, "object_pt") == [[50, 20], [30]]


def without(kind: str, name: str) -> dict[str, Any]:
    return {**MAP, "objects": {**OBJECTS, kind: {key: x for key, x in OBJECTS[kind].items() if key != name}}}


def having(kind: str, **more: Any) -> dict[str, Any]:
    return {**MAP, "objects": {**OBJECTS, kind: {**OBJECTS.get(kind, {}), **more}}}


BAD: list[tuple[dict[str, Any], str]] = [
    ({**MAP, "rows": "object"}, "they need 'rows: event'"),
    ({**MAP, "unfold": "jet_pt"}, "and no 'unfold'"),
    ({"rows": "event"}, "'fields' or, of events, 'objects' are needed"),
    ({"fields": {"x": "met"}, "overlap": 0.4}, "go with 'objects'"),
    ({**MAP, "objects": {"jets": OBJECTS["jet"]}}, "jets"),
    (without("jet", "eta"), "jet: 'eta' is needed"),
    (having("met", eta="0"), "met: missing momentum has pt and phi only, got eta"),
    (having("electron", b_tag="el_q"), "electron: only jets have a b tag"),
    (having("jet", energy="jet_pt"), "either 'energy' or 'mass'"),
    (having("jet", pt="jetpt"), "jet, pt: .*no 'jetpt'; did you mean 'jet_pt'"),
    (having("jet", eta="el_eta"), r"a\.parquet: lists of 'jet, eta' have other lengths"),
    (having("jet", unit="kg"), "unit"),
    (having("met", pt="jet_pt"), r"a\.parquet, row 0: an event has one missing momentum, not 3"),
    (having("electron", charge="el_q / 2"), r"a\.parquet, row 0, object 2: object_charge -0.5 is no charge"),
    (having("jet", phi="jet_phi / 0"), "field 'object_phi', row 0, object 0: nan must be finite"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[message[:30] for _, message in BAD])
def test_what_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(HepfmError, match=message):
        ingest("mapping", [write(tmp_path / "a.parquet")], output=tmp_path / "s", options=options)
    assert not (tmp_path / "s").exists()


def test_a_wrong_unit_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ingest(
        "mapping", [write(tmp_path / "a.parquet")], output=tmp_path / "s", options=having("jet", unit="GeV")
    )
    assert "of type jet is above 40000 GeV; is the file in MeV" in caplog.text


def test_events_without_objects_are_refused(tmp_path: Path) -> None:
    objects = {"jet": OBJECTS["jet"]}
    with pytest.raises(DataError, match=r"a\.parquet, row 2: the event has no objects at all.*select"):
        ingest(
            "mapping",
            [write(tmp_path / "a.parquet")],
            output=tmp_path / "s",
            options={**MAP, "objects": objects},
        )
