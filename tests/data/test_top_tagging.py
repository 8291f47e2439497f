"""Ingest of the top-tagging reference set's layout, as pandas writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hepfm.core.errors import DataError
from hepfm.core.ragged import Ragged
from hepfm.data.ingest import ingest
from hepfm.data.store import Store

h5py = pytest.importorskip("h5py", reason="the extra 'io' is not installed")
pytest.importorskip("tables", reason="PyTables, with which pandas writes HDF5, is not installed")

NAMES = [f"{part}_{slot}" for slot in range(200) for part in ("E", "PX", "PY", "PZ")]
TRUTH = ["truthE", "truthPX", "truthPY", "truthPZ"]


def make_file(
    path: Path, momenta: Any, labels: Any, *, names: list[str] = NAMES, key: str = "table", **how: Any
) -> Path:
    """Write (rows, 200, 4) momenta with pandas, as the published files were."""
    frame = pd.DataFrame(np.reshape(momenta, (len(momenta), 800)), columns=names)
    truth = pd.DataFrame(np.zeros((len(momenta), 4), np.float32), columns=TRUTH)
    numbers = pd.DataFrame({"ttv": 0, "is_signal_new": np.asarray(labels)})
    whole = pd.concat([frame, truth, numbers], axis=1)
    whole.to_hdf(path, key=key, **{"format": "table", **how})
    return path


@pytest.fixture
def momenta() -> Any:
    """Jets of 3, 0, 1 and 200 massless constituents around (px, py, pz) = (30, 100, 20)."""
    rng = np.random.Generator(np.random.PCG64(1))
    p = rng.normal([30.0, 100.0, 20.0], 5.0, (4, 200, 3)) * rng.exponential(1, (4, 200, 1))
    real = np.arange(200) < np.array([3, 0, 1, 200])[:, None]
    p *= real[..., None]
    return np.concatenate([np.linalg.norm(p, axis=2, keepdims=True), p], axis=2).astype(np.float32)


def test_jets_are_the_sum_of_their_constituents(tmp_path: Path, momenta: Any) -> None:
    path = make_file(tmp_path / "train.h5", momenta, [1, 0, 1, 0])
    store = Store.open(ingest("top_tagging", [f"test={path}"], output=tmp_path / "s"))
    list(store.verify())
    assert store.schema.label_classes == ("QCD", "Tbqq")
    assert store.splits == {"test": range(4)}
    columns = store.read(store.schema.names())
    np.testing.assert_array_equal(columns["jet_label"], [1, 0, 1, 0])
    np.testing.assert_array_equal(store.lengths("constituent"), [3, 0, 1, 200])
    energy, px, py, pz = momenta.astype(float).sum(axis=1).T
    pt, eta, phi = (np.asarray(columns[f"jet_{name}"], float) for name in ("pt", "eta", "phi"))
    np.testing.assert_allclose(pt * np.cos(phi), px, rtol=1e-5)
    np.testing.assert_allclose(pt * np.sin(phi), py, rtol=1e-5)
    np.testing.assert_allclose(pt * np.sinh(eta), pz, rtol=1e-5)
    np.testing.assert_allclose(columns["jet_energy"], energy, rtol=1e-6)
    part_pt = columns["part_pt"]
    assert isinstance(part_pt, Ragged)
    expected = np.sort(np.hypot(momenta[3, :, 1], momenta[3, :, 2]))[::-1]
    np.testing.assert_allclose(part_pt.row(3), expected, rtol=1e-6)


def test_columns_are_found_by_name_not_by_place(tmp_path: Path, momenta: Any) -> None:
    first = ingest("top_tagging", [make_file(tmp_path / "a.h5", momenta, [0] * 4)], output=tmp_path / "a")
    swapped = [f"{part}_{slot}" for slot in range(200) for part in ("PZ", "PY", "PX", "E")]
    path = make_file(tmp_path / "b.h5", momenta[..., ::-1], [0] * 4, names=swapped)
    second = ingest("top_tagging", [path], output=tmp_path / "b")
    assert Store.open(first).fingerprint == Store.open(second).fingerprint


@pytest.mark.parametrize(
    "how",
    [
        {"complib": "zlib", "complevel": 5},
        {"complib": "blosc", "complevel": 5},
        {"complib": "bzip2", "complevel": 5},
        {"data_columns": ["is_signal_new"]},
        {"key": "df"},
        {"format": "fixed"},
    ],
)
def test_however_pandas_writes_them(tmp_path: Path, momenta: Any, how: Any) -> None:
    first = ingest(
        "top_tagging", [make_file(tmp_path / "a.h5", momenta, [0, 1, 1, 0])], output=tmp_path / "a"
    )
    path = make_file(tmp_path / "b.h5", momenta, [0, 1, 1, 0], **how)
    second = ingest("top_tagging", [path], output=tmp_path / "b")
    assert Store.open(first).fingerprint == Store.open(second).fingerprint


def test_in_pieces(tmp_path: Path, momenta: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_file(tmp_path / "x.h5", momenta, [0, 1, 0, 1])
    whole = Store.open(ingest("top_tagging", [path], output=tmp_path / "a"))
    monkeypatch.setattr("hepfm.data.readers.top_tagging._PIECE_ROWS", 3)
    pieces = Store.open(ingest("top_tagging", [path], output=tmp_path / "b"))
    assert whole.fingerprint == pieces.fingerprint


def test_bad_files(tmp_path: Path, momenta: Any) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.zeros(3)
    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    label = make_file(tmp_path / "label.h5", momenta, [0, 1, 2, 0])
    names = make_file(tmp_path / "names.h5", momenta, [0] * 4, names=[f"x{number}" for number in range(800)])
    nan = make_file(tmp_path / "nan.h5", np.where(momenta == momenta[3, 0, 1], np.nan, momenta), [0] * 4)
    for path, message in [
        (other, "lacks the columns E_0"),
        (text, "no ROOT, Parquet, HDF5"),
        (label, "2 must be a class number from 0 to 1"),
        (names, "lacks the columns E_0, PX_0"),
        (nan, "must be finite"),
    ]:
        with pytest.raises(DataError, match=message):
            ingest("top_tagging", [path], output=tmp_path / "s")


def test_a_negative_energy_is_no_padding(tmp_path: Path, momenta: Any) -> None:
    momenta[3, 5, 0] *= -1
    path = make_file(tmp_path / "train.h5", momenta, [1, 0, 1, 0])
    with pytest.raises(DataError, match=r"train\.h5, row 3, constituent \d+: part_energy -"):
        ingest("top_tagging", [path], output=tmp_path / "s")
