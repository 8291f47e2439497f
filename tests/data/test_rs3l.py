"""Ingest of RS3L's files, written by h5py: simulations as rows of a group, classes, bad files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_files import rs3l_arrays, write_hdf5, write_rs3l

from hepfm.core.errors import ConfigError, DataError
from hepfm.core.ragged import Columns, lists
from hepfm.data.ingest import ingest
from hepfm.data.readers import rs3l
from hepfm.data.store import Store
from hepfm.testing.readers import ReaderCase

pytest.importorskip("h5py", reason="the extra 'io' is not installed")


def read(path: Path, **options: Any) -> Columns:
    return ReaderCase("rs3l", path, options).columns()


def value(columns: Columns, name: str) -> Any:
    return np.asarray(columns[name])


@pytest.fixture(scope="module")
def jets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rs3l(tmp_path_factory.mktemp("rs3l") / "rs3l_0.h5")


def test_simulations_of_a_jet_are_rows_of_a_group(jets: Path, tmp_path: Path) -> None:
    store = Store.open(ingest("rs3l", [jets], output=tmp_path / "s"))
    list(store.verify())
    assert store.schema.group == "jet_origin"
    assert store.schema["jet_variation"].classes == ("nominal", "seed", "fsr_down", "fsr_up", "herwig")
    columns = store.read(store.schema.names())
    # The fourth simulation of the second jet is missing, and the last entry is empty.
    np.testing.assert_array_equal(columns["jet_variation"], [0, 1, 2, 3, 4, 0, 1, 2, 4])
    origin = np.asarray(columns["jet_origin"])
    assert len(set(origin[:5])) == len(set(origin[5:])) == 1 != len(set(origin))
    names = store.schema.label_classes
    assert [names[number] for number in np.asarray(columns["jet_label"])] == ["Hbb"] * 5 + ["q"] * 4


def test_features_stand_before_the_candidates(jets: Path) -> None:
    columns = read(jets)
    np.testing.assert_allclose(lists(columns, "part_pt").row(1), [410, 90, 20])
    np.testing.assert_allclose(lists(columns, "part_eta").row(1), [0.1, 0.3, 0.0], atol=1e-6)
    np.testing.assert_allclose(lists(columns, "part_phi").row(1), [3.1] * 3, rtol=1e-6)
    np.testing.assert_allclose(
        lists(columns, "part_energy").row(1), [410, 90, 20] * np.cosh([0.1, 0.3, 0.0]) * 1.0001, rtol=1e-6
    )
    assert lists(columns, "part_charge").row(1).tolist() == [1, 0, -1]
    assert lists(columns, "part_pid").row(1).tolist() == [0, 2, 4]
    # The photon of the file has impact parameters, which say nothing.
    np.testing.assert_allclose(lists(columns, "part_d0").row(1), [0.1, 0, -0.2], rtol=1e-6)
    np.testing.assert_allclose(lists(columns, "part_dz").row(1), [0.3, 0, 0.4], rtol=1e-6)
    assert not {"part_d0_error", "jet_tau1"} & set(columns)
    raw = rs3l_arrays()["singletons"][0, 1]
    np.testing.assert_allclose(
        [value(columns, f"jet_{name}")[1] for name in ("pt", "eta", "phi", "energy")], raw[9:13], rtol=1e-6
    )


def test_origins_of_two_files_differ(jets: Path, tmp_path: Path) -> None:
    other = rs3l_arrays()
    other["singletons"][:, :, 9] *= 1.001
    columns = read(write_rs3l(tmp_path / "rs3l_1.h5", **other))
    assert not set(value(columns, "jet_origin")) & set(value(read(jets), "jet_origin"))


def test_classes_and_simulations_can_be_named(jets: Path) -> None:
    options = {"classes": {1: "QCD", 2: "QCD", 4: "Hbb"}, "variations": ["a", "b", "c", "d", "e"]}
    np.testing.assert_array_equal(value(read(jets, **options), "jet_label"), [1] * 5 + [0] * 4)
    schema = ReaderCase("rs3l", jets, options).build().schema(jets)
    assert schema.label_classes == ("QCD", "Hbb")
    assert schema["jet_variation"].classes == ("a", "b", "c", "d", "e")


def test_pieces_make_no_difference(jets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(jets)
    monkeypatch.setattr(rs3l, "_PIECE_ROWS", 1)
    for name, column in read(jets).items():
        expected = whole[name]
        np.testing.assert_array_equal(
            getattr(column, "values", column), getattr(expected, "values", expected)
        )


# --- bad input ------------------------------------------------------------------------------------


def changed(name: str, place: Any, number: float) -> dict[str, Any]:
    arrays = rs3l_arrays()
    arrays[name][place] = number
    return arrays


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            changed("singletons", (1, 2, 0), 12),
            r"row 1: 12 is none of the numbers of classes 1, 2, 3.* classes",
        ),
        (changed("singletons", (1, 2, 0), np.nan), "row 1: nan is none of the numbers of classes"),
        (changed("singletons", (1, 2, 9), np.nan), "'jet_pt', row 7: nan must be finite"),
        (
            changed("singletons", (1, 2, 9), 0),
            "row 1: simulation 'fsr_down' has candidates and a jet of pt 0",
        ),
        (changed("jet_pflow_cands", (0, 2, 0, 1), np.nan), "'part_pt', row 2.*nan must be finite"),
        (changed("jet_pflow_cands", (0, 2, 7, 1), 0.5), "part_charge 0.5 is no charge"),
        ({"singletons": np.ones((3, 4, 15))}, r"'singletons' has shape \(3, 4, 15\), expected .*N 5 F"),
        ({"singletons": np.ones((2, 5, 15))}, "different numbers of rows"),
        (
            {"singletons": np.ones((3, 5, 12))},
            "'singletons' has 12 features in its third dimension, expected 13",
        ),
        (
            {"jet_pflow_cands": np.ones((3, 5, 4, 11))},
            "'jet_pflow_cands' has 4 features in its third dimension, expected 11",
        ),
    ],
)
def test_bad_arrays(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    path = write_rs3l(tmp_path / "bad.h5", **arrays)
    with pytest.raises(DataError, match=message) as error:
        ingest("rs3l", [path], output=tmp_path / "s")
    assert "bad.h5" in str(error.value)


def test_files_of_the_training_code_are_told_apart(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "x.h5", features=np.zeros((2, 100, 15)), vartype=np.array([-1, 0]))
    with pytest.raises(DataError, match=r"pairs of rows \('features'\).*'singletons' and 'jet_pflow_cands'"):
        ingest("rs3l", [path], output=tmp_path / "s")
    other = write_hdf5(tmp_path / "y.h5", singletons=np.zeros((2, 5, 15)))
    with pytest.raises(DataError, match="no data set 'jet_pflow_cands'; it has: singletons"):
        ingest("rs3l", [other], output=tmp_path / "s")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variations": ["a", "a"]}, "name each once"),
        ({"classes": {}}, "classes"),
        ({"classes": {"x": "q"}}, "classes"),
    ],
)
def test_bad_options(jets: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ingest("rs3l", [jets], output=tmp_path / "s", options=options)
