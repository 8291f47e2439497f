"""Own files with a map: layouts, units, classes, selections, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hepfm.core.errors import ConfigError, DataError, HepfmError
from hepfm.core.ragged import Columns, Ragged
from hepfm.data.ingest import ingest
from hepfm.data.maps.expression import Expression
from hepfm.data.maps.suggest import suggest
from hepfm.data.maps.units import UNITS, factor
from hepfm.data.schemas.jetclass2 import JETCLASS2_CLASSES
from hepfm.data.store import Store
from hepfm.testing.readers import ReaderCase

ak = pytest.importorskip("awkward", reason="the extra 'io' is not installed")
h5py = pytest.importorskip("h5py", reason="the extra 'io' is not installed")
uproot = pytest.importorskip("uproot", reason="the extra 'io' is not installed")

RNG = np.random.Generator(np.random.PCG64(3))
LENGTHS = np.array([3, 1, 0, 2, 4])
ROWS = len(LENGTHS)
PART = {
    "pt": RNG.uniform(1, 50, LENGTHS.sum()).astype(np.float32),
    "eta": RNG.normal(0, 0.5, LENGTHS.sum()).astype(np.float32),
    "phi": RNG.uniform(-3, 3, LENGTHS.sum()).astype(np.float32),
}
PART["energy"] = (PART["pt"] * np.cosh(PART["eta"]) * 1.001).astype(np.float32)
JET = {
    "pt": np.array([60, 30, 10, 40, 90], np.float32),
    "eta": np.array([0.1, -0.2, 0.3, 0.0, 1.0], np.float32),
    "phi": np.array([3.0, -3.0, 0.0, 1.0, 2.0], np.float32),
}
JET["energy"] = (JET["pt"] * np.cosh(JET["eta"]) * 1.2).astype(np.float32)
FIELDS = {f"{kind}_{name}": f"{kind}_{name}" for kind in ("jet", "part") for name in PART}


def lists(values: Any) -> Any:
    """Return values as lists of each row."""
    return ak.unflatten(values, LENGTHS)


def tables() -> dict[str, Any]:
    """Return plain columns: numbers of jets, lists of constituents."""
    return {
        **{f"jet_{name}": values for name, values in JET.items()},
        **{f"part_{name}": lists(values) for name, values in PART.items()},
    }


def write_root(path: Path, columns: dict[str, Any], tree: str = "jets") -> Path:
    """Write a tree."""
    with uproot.recreate(path) as file:
        file.mktree(tree, columns)
    return path


def read(path: Path, output: Path, **config: Any) -> Columns:
    """Ingest a file with a map; return its columns."""
    config.setdefault("fields", FIELDS)
    store = Store.open(ingest("mapping", [path], output=output, options=config))
    list(store.verify())
    return store.read(store.schema.names())


def same(found: Columns, expected: Columns) -> None:
    """Assert that columns are equal, those of lists row by row."""
    for name, column in expected.items():
        mine = found[name]
        if isinstance(column, Ragged):
            assert isinstance(mine, Ragged)
            np.testing.assert_array_equal(mine.offsets, column.offsets, err_msg=name)
            np.testing.assert_allclose(mine.values, column.values, rtol=2e-6, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_allclose(mine, column, rtol=2e-6, atol=1e-6, err_msg=name)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    """Return the columns of the plain file."""
    folder = tmp_path_factory.mktemp("plain")
    found = read(write_root(folder / "plain.root", tables()), folder / "store")
    part_pt = found["part_pt"]
    assert isinstance(part_pt, Ragged)
    for row, values in enumerate(ak.to_list(lists(PART["pt"]))):
        np.testing.assert_array_equal(part_pt.row(row), sorted(np.float32(values), reverse=True))
    np.testing.assert_array_equal(found["jet_pt"], JET["pt"])
    return found


def cartesian(part: dict[str, Any], unit: float = 1.0) -> dict[str, Any]:
    """Return momenta and energies."""
    pt, eta, phi = (part[name].astype(np.float64) for name in ("pt", "eta", "phi"))
    return {
        "px": pt * np.cos(phi) * unit,
        "py": pt * np.sin(phi) * unit,
        "pz": pt * np.sinh(eta) * unit,
        "e": part["energy"].astype(np.float64) * unit,
    }


def padded(values: Any, fill: float = 0.0) -> Any:
    """Return lists as an array of fixed shape, one slot more than the longest."""
    return np.asarray(ak.fill_none(ak.pad_none(lists(values), LENGTHS.max() + 1, axis=1), fill))


def test_momenta_in_mev(tmp_path: Path, expected: Columns) -> None:
    jets, parts = cartesian(JET, 1000), cartesian(PART, 1000)
    columns = {f"j_{name}": values for name, values in jets.items()}
    columns |= {f"c.{name}": lists(values) for name, values in parts.items()}
    pq.write_table(
        pa.table({name: ak.to_arrow(value, extensionarray=False) for name, value in columns.items()}),
        tmp_path / "x.pq",
    )
    fields = {
        "jet_pt": {"take": "pt(j_px, j_py)", "unit": "MeV"},
        "jet_eta": "eta(j_px, j_py, j_pz)",
        "jet_phi": "phi(j_px, j_py)",
        "jet_energy": {"take": "j_e", "unit": "MeV"},
        "part_pt": {"take": "pt(c.px, c.py)", "unit": "MeV"},
        "part_eta": "eta(c.px, c.py, c.pz)",
        "part_phi": "phi(c.px, c.py)",
        "part_energy": {"take": "c.e / 1000", "unit": "GeV"},
    }
    same(read(tmp_path / "x.pq", tmp_path / "store", fields=fields), expected)


@pytest.mark.parametrize("padding", ["zero", "nan", "valid", "slot < n", "`cube`[..., -1] != 0"])
def test_padded_arrays(tmp_path: Path, expected: Columns, padding: str) -> None:
    fill = np.nan if padding == "nan" else 0.0
    cube = np.stack([padded(PART[name], fill) for name in ("pt", "eta", "phi", "energy")], axis=-1)
    np.savez(
        tmp_path / "x.npz",
        cube=cube,
        valid=padded(PART["pt"]) != 0,
        n=LENGTHS,
        jets=np.stack(list(JET.values()), 1),
    )
    fields = {f"part_{name}": f"cube[..., {place}]" for place, name in enumerate(PART)}
    fields |= {f"jet_{name}": f"jets[..., {place}]" for place, name in enumerate(JET)}
    same(read(tmp_path / "x.npz", tmp_path / "store", fields=fields, padding=padding), expected)


def test_structured_hdf5_with_relative_angles(tmp_path: Path, expected: Columns) -> None:
    tracks = np.zeros(
        (ROWS, LENGTHS.max() + 1), [("pt", "f4"), ("deta", "f4"), ("dphi", "f4"), ("m", "f4"), ("valid", "?")]
    )
    tracks["valid"] = padded(PART["pt"]) != 0
    tracks["pt"] = padded(PART["pt"])
    tracks["deta"] = padded(PART["eta"]) - JET["eta"][:, None]
    tracks["dphi"] = padded(PART["phi"]) - JET["phi"][:, None]
    tracks["m"] = np.sqrt(
        np.maximum(padded(PART["energy"]) ** 2 - (padded(PART["pt"]) * np.cosh(padded(PART["eta"]))) ** 2, 0)
    )
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["tracks"] = tracks
        for name, values in JET.items():
            file[f"jets/{name}"] = values
    fields = {
        **{f"jet_{name}": f"jets/{name}" for name in JET},
        "part_pt": "tracks.pt",
        "part_eta": "`jets/eta` + tracks.deta",
        "part_phi": "`jets/phi` + tracks.dphi",
        "part_energy": "energy(tracks.pt, `jets/eta` + tracks.deta, tracks.m)",
    }
    found = read(tmp_path / "x.h5", tmp_path / "store", fields=fields, padding="tracks.valid")
    for name in ("part_pt", "part_eta", "part_phi"):
        same({name: found[name]}, {name: expected[name]})
    np.testing.assert_allclose(found["part_energy"].values, expected["part_energy"].values, rtol=1e-4)


def test_numbered_columns_give_what_the_reader_of_top_tagging_gives(tmp_path: Path) -> None:
    pytest.importorskip("tables", reason="PyTables, with which pandas writes HDF5, is not installed")
    momenta = np.zeros((ROWS, 200, 4), np.float32)
    for row, stop in enumerate(LENGTHS + 1):
        p = RNG.normal(30, 10, (stop, 3))
        momenta[row, :stop] = np.concatenate([np.linalg.norm(p, axis=1, keepdims=True), p], axis=1)
    names = [f"{part}_{slot}" for slot in range(200) for part in ("E", "PX", "PY", "PZ")]
    frame = pd.DataFrame(momenta.reshape(ROWS, -1), columns=names)
    frame = pd.concat([frame, pd.DataFrame({"is_signal_new": np.arange(ROWS) % 2})], axis=1)
    frame.to_hdf(tmp_path / "x.h5", key="table", format="table")
    theirs = Store.open(ingest("top_tagging", [tmp_path / "x.h5"], output=tmp_path / "theirs"))
    found = read(
        tmp_path / "x.h5",
        tmp_path / "mine",
        fields={
            "part_pt": "pt(`PX_*`, `PY_*`)",
            "part_eta": "eta(`PX_*`, `PY_*`, `PZ_*`)",
            "part_phi": "phi(`PX_*`, `PY_*`)",
            "part_energy": "E_*",
        },
        jet="sum",
        label={"take": "is_signal_new", "codes": {0: "QCD", 1: "Tbqq"}},
    )
    same(found, theirs.read(theirs.schema.names()))


def test_a_map_gives_what_the_reader_of_jetclass_gives(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "jetclass2_example.parquet"
    theirs = Store.open(ingest("jetclass", [path], output=tmp_path / "theirs"))
    flags = {
        "charged_hadron": "ChargedHadron",
        "neutral_hadron": "NeutralHadron",
        "photon": "Photon",
        "electron": "Electron",
        "muon": "Muon",
    }
    fields = {
        "jet_pt": "jet_pt",
        "jet_eta": "jet_eta",
        "jet_phi": "jet_phi",
        "jet_energy": "jet_energy",
        "jet_softdrop_mass": "jet_sdmass",
        **{f"jet_tau{n}": f"jet_tau{n}" for n in (1, 2, 3, 4)},
        "part_pt": "pt(part_px, part_py)",
        "part_eta": "eta(part_px, part_py, part_pz)",
        "part_phi": "phi(part_px, part_py)",
        "part_energy": "part_energy",
        "part_charge": "part_charge",
        "part_pid": {"flags": {name: f"part_is{flag}" for name, flag in flags.items()}, "otherwise": "other"},
        "part_d0": "part_d0val",
        "part_d0_error": "part_d0err",
        "part_dz": "part_dzval",
        "part_dz_error": "part_dzerr",
    }
    label = {"take": "jet_label", "codes": dict(enumerate(JETCLASS2_CLASSES))}
    mine = Store.open(
        ingest("mapping", [path], output=tmp_path / "mine", options={"fields": fields, "label": label})
    )
    assert set(mine.schema.names()) == set(theirs.schema.names())
    assert all(mine.schema[name] == theirs.schema[name] for name in mine.schema.names())
    same(mine.read(mine.schema.names()), theirs.read(theirs.schema.names()))


def test_jets_of_events(tmp_path: Path, expected: Columns) -> None:
    """Rows are entries of lists; lists of lists are constituents; numbers of the event are repeated."""
    jets_of_event = [2, 0, 3]
    columns = {name: ak.unflatten(value, jets_of_event, axis=0) for name, value in tables().items()}
    columns["run"], columns["number"] = np.array([7, 7, 8]), np.array([11, 12, 13])
    pq.write_table(
        pa.table({name: ak.to_arrow(value, extensionarray=False) for name, value in columns.items()}),
        tmp_path / "x.pq",
    )
    store = Store.open(
        ingest(
            "mapping",
            [tmp_path / "x.pq"],
            output=tmp_path / "store",
            options={"fields": FIELDS, "unfold": "jet_pt", "group": "number", "observers": ["run"]},
        )
    )
    found = store.read(store.schema.names())
    same(found, expected)
    assert store.schema.group == "event"
    np.testing.assert_array_equal(found["event"], [11, 11, 13, 13, 13])
    np.testing.assert_array_equal(found["run"], [7, 7, 8, 8, 8])


def test_selections_and_classes(tmp_path: Path, expected: Columns) -> None:
    columns = {
        **tables(),
        "is_top": np.array([1, 0, 0, 1, 0]),
        "is_qcd": np.array([0, 1, 1, 0, 0]),
        "w": np.arange(ROWS) + 0.5,
    }
    path = write_root(tmp_path / "x.root", columns)
    found = read(
        path,
        tmp_path / "a",
        select="jet_pt > 20 and jet_pt < 80",
        select_constituents="part_pt > 10",
        label={"flags": {"QCD": "is_qcd", "Tbqq": "is_top"}, "drop": True},
        weight="w",
    )
    np.testing.assert_array_equal(found["jet_pt"], [60, 30, 40])
    np.testing.assert_array_equal(found["jet_label"], [1, 0, 1])
    np.testing.assert_array_equal(found["jet_weight"], np.float32([0.5, 1.5, 3.5]))
    part_pt, whole = found["part_pt"], expected["part_pt"]
    assert isinstance(part_pt, Ragged)
    assert isinstance(whole, Ragged)
    for row, other in enumerate([0, 1, 3]):
        np.testing.assert_array_equal(part_pt.row(row), [value for value in whole.row(other) if value > 10])
    with pytest.raises(
        DataError, match=r"'jet_label', row 4: not exactly one of the flags QCD, Tbqq is true"
    ):
        read(path, tmp_path / "b", label={"flags": {"QCD": "is_qcd", "Tbqq": "is_top"}})
    other = read(path, tmp_path / "c", label={"flags": {"QCD": "is_qcd", "Tbqq": "is_top"}, "otherwise": "W"})
    np.testing.assert_array_equal(other["jet_label"], [1, 0, 0, 1, 2])


def test_how_many_rows_are_left_is_not_known_before(tmp_path: Path) -> None:
    path = write_root(tmp_path / "x.root", {**tables(), "kind": np.arange(ROWS) % 2})
    label = {"take": "kind", "codes": {0: "QCD"}}
    options: list[dict[str, Any]] = [{"select": "jet_pt > 20"}, {"label": {**label, "drop": True}}]
    fields = {"jet_pt": "jet_pt"}
    for option in options:
        assert ReaderCase("mapping", path, {"fields": fields, **option}).build().num_rows(path) is None
    assert ReaderCase("mapping", path, {"fields": fields}).build().num_rows(path) == ROWS


def test_the_class_of_a_file(tmp_path: Path) -> None:
    files = [write_root(tmp_path / f"{name}.root", tables()) for name in ("ttbar_1", "ttbar_2", "qcd_1")]
    label = {"files": {"qcd_*": "QCD", "ttbar_*": "Tbqq"}}
    store = Store.open(
        ingest("mapping", files, output=tmp_path / "s", options={"fields": FIELDS, "label": label})
    )
    np.testing.assert_array_equal(store.read(["jet_label"])["jet_label"], np.repeat([1, 1, 0], ROWS))
    assert store.schema.label_classes == ("QCD", "Tbqq")
    with pytest.raises(DataError, match=r"wjets\.root: the name fits none of the patterns"):
        read(write_root(tmp_path / "wjets.root", tables()), tmp_path / "t", label=label)


def test_particle_types_fills_observers_and_own_fields(tmp_path: Path) -> None:
    codes = np.array([211, -13, 22, 130, 11, 9999, 2212, 22, -211, 111])
    d0 = PART["pt"].astype(np.float64) / 100
    d0[3] = np.nan
    columns = {
        **tables(),
        "pdg": lists(codes),
        "d0": lists(d0),
        "npv": np.arange(ROWS),
        "mass": JET["pt"] / 5,
    }
    found = read(
        write_root(tmp_path / "x.root", columns),
        tmp_path / "s",
        fields={
            **FIELDS,
            "part_pid": {"take": "pdg", "codes": "pdg"},
            "part_d0": {"take": "d0", "unit": "cm", "fill": 0},
            "pileup": {"take": "npv", "kind": "count", "description": "primary vertices"},
            "group_mass": {"take": "mass", "unit": "GeV", "stored_unit": "GeV"},
        },
        observers={"half": "npv / 2"},
    )
    order = np.concatenate(
        [
            np.argsort(-row, kind="stable") + start
            for row, start in zip(
                np.split(PART["pt"], np.cumsum(LENGTHS)[:-1]), [0, *np.cumsum(LENGTHS)[:-1]], strict=True
            )
        ]
    )
    types = np.array([0, 4, 2, 1, 3, 5, 0, 2, 0, 5])
    np.testing.assert_array_equal(found["part_pid"].values, types[order])
    np.testing.assert_allclose(found["part_d0"].values, np.nan_to_num(d0 * 10)[order], rtol=1e-6)
    np.testing.assert_array_equal(found["pileup"], np.arange(ROWS))
    np.testing.assert_array_equal(found["half"], np.arange(ROWS) / 2)


def test_in_pieces(tmp_path: Path, expected: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_root(tmp_path / "x.root", tables())
    monkeypatch.setattr("hepfm.data.tables.base.CHUNK_ROWS", 2)
    same(read(path, tmp_path / "s"), expected)


BAD: list[tuple[dict[str, Any], str]] = [
    (
        {"fields": {"jet_pt": "jet_ptt"}},
        "jet_pt: 'jet_ptt': the file has no 'jet_ptt'; did you mean 'jet_pt'",
    ),
    ({"fields": {"jet_pt": {"take": "jet_pt", "unit": "MEV"}}}, "unknown unit 'MEV'; did you mean 'MeV'"),
    (
        {"fields": {"jet_pt": {"take": "jet_pt", "unit": "mm"}}},
        "stored in GeV; its unit cannot be 'mm' but: eV",
    ),
    ({"fields": {"jet_pt": "part_pt"}}, "field 'jet_pt' is one number of each row, and .* is a list"),
    ({"fields": {"jet_pt": {}}}, "either 'take' or 'flags' is needed"),
    ({"fields": {"jet_pt": "__import__('os').getcwd()"}}, "is not understood"),
    ({"fields": {"jet_pt": "jet_pt.__class__"}}, "the file has no 'jet_pt.__class__'"),
    ({"fields": {"jet_pt": "sqr(jet_pt)"}}, "no function 'sqr'; did you mean 'sqrt'"),
    ({"fields": {"jet_pt": "jet_pt +"}}, "'jet_pt [+]' is no expression"),
    ({"fields": {"jet_pt": "1.0"}}, "takes nothing from the file"),
    ({"fields": {}}, "fields"),
    ({"fields": {"jet_pt": {"take": "jet_pt", "level": "event"}}}, "'jet_pt' is known"),
    ({"fields": FIELDS, "observers": ["jet_pt"]}, "both fields and observers: jet_pt"),
    ({"fields": FIELDS, "unfold": "jet_pt"}, "unfold: 'jet_pt' holds no lists"),
    ({"fields": FIELDS, "unfold": "jets"}, "unfold: the file has no 'jets'"),
    ({"fields": {"jet_pt": "short + part_pt"}, "unfold": "part_pt"}, "lists of 'short' have other numbers"),
    ({"fields": FIELDS, "label": {"take": "jet_pt"}}, "'take' needs 'codes'"),
    (
        {"fields": FIELDS, "label": {"take": "jet_pt", "codes": {60: "a"}}},
        "row 1: 30 is none of the codes 60",
    ),
    ({"fields": FIELDS, "group": "jet_eta"}, "field 'event', row 0: 0.1 is no whole number"),
    ({"fields": {"jet_pt": "jet_pt"}, "jet": "sum"}, "jet: 'sum' needs the fields part_pt"),
    ({"fields": {**FIELDS, "part_eta": "part_eta + other"}}, "no 'other'"),
    ({"fields": {**FIELDS, "part_charge": "short"}}, "lists of 'part_charge' have other lengths"),
    ({"fields": {**FIELDS, "part_pt": "part_pt + short"}}, "cannot compute 'part_pt [+] short' of"),
    (
        {"fields": {**FIELDS, "part_pt": {"take": "part_pt", "unit": "TeV"}}},
        "another unit|below the momentum",
    ),
    ({"fields": FIELDS, "tree": "jet"}, "no tree 'jet'; did you mean 'jets'"),
]


@pytest.mark.parametrize(("config", "message"), BAD, ids=[message[:30] for _, message in BAD])
def test_what_is_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    short = ak.unflatten(np.ones(ROWS), np.ones(ROWS, int))
    path = write_root(tmp_path / "x.root", {**tables(), "short": short})
    with pytest.raises(HepfmError, match=message):
        ingest("mapping", [path], output=tmp_path / "s", options=config)
    assert not (tmp_path / "s").exists()


def test_not_finite_values_are_refused_with_file_and_row(tmp_path: Path) -> None:
    eta = PART["eta"].copy()
    eta[4] = np.nan
    path = write_root(tmp_path / "x.root", {**tables(), "part_eta": lists(eta)})
    with pytest.raises(DataError, match=r"x\.root.*'part_eta', row 3, constituent .: nan must be finite"):
        read(path, tmp_path / "s")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + 2 * b ** 2", lambda a, b: a + 2 * b**2),
        ("-a / (b + 1) % 3", lambda a, b: -a / (b + 1) % 3),
        ("a < b <= 4 and not (a == 1)", lambda a, b: (a < b) & (b <= 4) & ~(a == 1)),
        ("where(a > 1, a, -b)", lambda a, b: np.where(a > 1, a, -b)),
        ("hypot(a, b) - abs(-a) + sqrt(b)", lambda a, b: np.hypot(a, b) - np.abs(a) + np.sqrt(b)),
        ("wrap(a * 4)", lambda a, b: np.angle(np.exp(4j * a))),
        ("`odd name/x` + a", lambda a, b: 2 * a),
        ("eta(a, b, a)", lambda a, b: np.arcsinh(a / np.hypot(a, b))),
        ("(a > 1) & (b > 2) | (a == 0)", lambda a, b: ((a > 1) & (b > 2)) | (a == 0)),
    ],
)
def test_expressions(text: str, value: Any) -> None:
    a, b = np.arange(4.0), np.array([4.0, 3.0, 1.0, 2.0])
    columns = {"a": ak.Array(a), "b": ak.Array(b), "odd name/x": ak.Array(a)}
    expression = Expression(text, columns)
    np.testing.assert_allclose(np.asarray(expression(columns)), value(a, b))
    assert expression.names <= set(columns)


def test_sums_over_lists() -> None:
    columns = {"x": ak.Array([[1.0, 2.0], [], [3.0]]), "scale": ak.Array([1.0, 2.0, 3.0])}
    assert ak.to_list(Expression("sum(x * scale)", columns)(columns)) == [3.0, 0.0, 9.0]


@pytest.mark.parametrize(
    "text", ["().__class__", "[a for a in b]", "lambda: 1", "'text'", "a[0]", "f'{a}'", "a if a else b"]
)
def test_expressions_are_no_programs(text: str) -> None:
    with pytest.raises(ConfigError):
        Expression(text, ["a", "b"])


def test_units() -> None:
    assert factor("deg", "rad", field="x") == pytest.approx(np.pi / 180)
    assert factor("cm", "mm", field="x") == 10
    assert all(UNITS[stored] == (stored, 1.0) for stored, _ in UNITS.values())


def test_suggestions_are_maps_that_work(tmp_path: Path, expected: Columns) -> None:
    from hepfm.core.config import read_yaml

    jets, parts = cartesian(JET, 1000), cartesian(PART, 1000)
    columns = {f"jet_{name}": values for name, values in jets.items()}
    columns |= {f"trk_{name}": lists(values) for name, values in parts.items()}
    columns |= {"jet_label": np.arange(ROWS) % 2, "gen_pt": JET["pt"], "mcEventWeight": np.ones(ROWS)}
    path = write_root(
        tmp_path / "x.root", {name: ak.values_astype(value, "float64") for name, value in columns.items()}
    )
    text = suggest(path)
    assert "# guess" in text
    (tmp_path / "map.yaml").write_text(text)
    values = read_yaml(tmp_path / "map.yaml")
    # 90 GeV is less than what is taken for MeV: the unit is the user's to check.
    for name in ("jet_pt", "jet_energy", "part_pt", "part_energy"):
        values["fields"][name]["unit"] = "MeV"
    values["label"]["codes"] = {0: "QCD", 1: "Tbqq"}
    same(read(path, tmp_path / "s", **values), expected)


def test_suggestion_for_real_files(shared_data: Path) -> None:
    text = suggest(shared_data / "jetclass2_example.parquet")
    assert 'part_pt: {take: "pt(part_px, part_py)", unit: GeV}  # guess' in text
    assert "take: jet_label" in text
    with pytest.raises(DataError, match="several trees"):
        suggest(shared_data / "pfnano.root")
    assert "FatJet" in suggest(shared_data / "pfnano.root", tree="Events")
