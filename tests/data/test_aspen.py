"""Ingest of Aspen Open Jets' layout, and training on it without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepfm.core.errors import DataError
from hepfm.data.ingest import ingest
from hepfm.data.schemas.jets import PID_CLASSES
from hepfm.data.store import Store

h5py = pytest.importorskip("h5py", reason="h5py is not installed")


def candidates(rows: int = 6, slots: int = 150) -> Any:
    """Jets of 0, 1, ... candidates, in the order of the file, which is not that of pt."""
    rng = np.random.Generator(np.random.PCG64(1))
    values = np.zeros((rows, slots, 11), np.float32)
    values[..., :3] = rng.normal([200.0, 100.0, 30.0], 20.0, (rows, slots, 3)) * rng.exponential(
        0.1, (rows, slots, 1)
    )
    values[..., 3] = 1.01 * np.linalg.norm(values[..., :3], axis=2)
    values[..., 9] = rng.choice([211, -211, 22, 130, 11, -13, 1], (rows, slots))
    values[..., 8] = np.where(np.isin(np.abs(values[..., 9]), (211, 11, 13)), np.sign(values[..., 9]), 0)
    neutral = values[..., 8] == 0
    values[..., 4:8] = np.where(neutral[..., None], -1.0, rng.uniform(0.01, 0.1, (rows, slots, 4)))
    values[..., 10] = rng.choice([0.0, 0.5, 1.0], (rows, slots))
    values *= (np.arange(slots) < 7 * np.arange(rows)[:, None])[..., None]
    return values


def make_file(path: Path, values: Any, **changes: Any) -> Path:
    rows = len(values)
    arrays = {
        "event_info": np.arange(3 * rows).reshape(rows, 3) + 2**40,
        "jet_kinematics": np.tile(np.array([500.0, 0.1, 0.2, 80.0], np.float32), (rows, 1)),
        "PFCands": values,
        "jet_tagging": np.zeros((rows, 13), np.float32),
        **changes,
    }
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if array is not None:
                file.create_dataset(name, data=array)
    return path


def read(tmp_path: Path, values: Any, **options: Any) -> Store:
    path = make_file(tmp_path / "RunG_batch0.h5", values)
    return Store.open(ingest("aspen", [f"train={path}"], output=tmp_path / "store", options=options))


def test_candidates_come_back_sorted_and_unlabelled(tmp_path: Path) -> None:
    values = candidates()
    store = read(tmp_path, values)
    list(store.verify())
    assert store.schema.label is None
    assert store.lengths("constituent").tolist() == [0, 7, 14, 21, 28, 35]
    found = store.read(store.schema.names())
    pt = np.hypot(values[5, :35, 0], values[5, :35, 1])
    order = np.argsort(-pt, kind="stable")
    np.testing.assert_allclose(found["part_pt"].row(5), pt[order], rtol=1e-6)
    total = values[5, :35].astype(float).sum(axis=0)
    assert found["jet_pt"][5] == pytest.approx(np.hypot(total[0], total[1]), rel=1e-6)
    assert found["jet_energy"][5] == pytest.approx(total[3], rel=1e-6)
    assert found["cms_jet_pt"][5] == 500.0
    assert found["event_run"][5] == 2**40 + 15
    pdg = values[5, :35, 9][order]
    names = [PID_CLASSES[k] for k in found["part_pid"].row(5)]
    expected = {211: "charged_hadron", 22: "photon", 130: "neutral_hadron", 11: "electron", 13: "muon"}
    assert names == [expected.get(abs(int(code)), "other") for code in pdg]


def test_impact_parameters_are_millimetres_and_zero_for_neutrals(tmp_path: Path) -> None:
    values = candidates()
    values[5, 0, 4] = np.inf
    values[5, 0, 8], values[5, 0, 9] = 1, 211
    store = read(tmp_path, values)
    found = store.read(["part_d0", "part_d0_error", "part_dz", "part_dz_error", "part_charge", "part_pt"])
    order = np.argsort(-np.hypot(values[5, :35, 0], values[5, :35, 1]), kind="stable")
    charged = values[5, :35, 8][order] != 0
    broken = ~np.isfinite(values[5, :35, 4][order])
    # JetClass's sign is the opposite of CMS's.
    expected = np.where(charged & ~broken, -10 * values[5, :35, 4][order], 0)
    np.testing.assert_allclose(found["part_d0"].row(5), expected, rtol=1e-6)
    assert not found["part_d0_error"].row(5)[broken].any()
    assert found["part_dz"].row(5)[broken].all()
    assert not found["part_dz_error"].row(5)[~charged].any()


def test_puppi_weights_scale_and_drop(tmp_path: Path) -> None:
    values = candidates()
    store = read(tmp_path, values, puppi=True)
    weight = values[5, :35, 10].astype(float)
    assert store.lengths("constituent")[5] == (weight > 0).sum()
    total = (values[5, :35, :4].astype(float) * weight[:, None]).sum(axis=0)
    jets = store.read(["jet_pt", "jet_energy"])
    assert jets["jet_pt"][5] == pytest.approx(np.hypot(total[0], total[1]), rel=1e-6)
    assert jets["jet_energy"][5] == pytest.approx(total[3], rel=1e-6)
    assert store.manifest.provenance["options"] == {"puppi": True}


def test_bad_files(tmp_path: Path) -> None:
    values = candidates()
    for name, changes, message in (
        ("ten", {"PFCands": values[..., :10]}, "has shape"),
        ("rows", {"jet_kinematics": np.zeros((2, 4), np.float32)}, "different numbers of rows"),
        ("none", {"event_info": None}, "no data set 'event_info'"),
    ):
        path = make_file(tmp_path / f"{name}.h5", values, **changes)
        with pytest.raises(DataError, match=message):
            ingest("aspen", [f"train={path}"], output=tmp_path / "no")
    broken = values.copy()
    broken[5, 0, 0] = np.nan
    with pytest.raises(DataError, match="not finite"):
        ingest("aspen", [f"train={make_file(tmp_path / 'nan.h5', broken)}"], output=tmp_path / "no")
    broken = values.copy()
    broken[5, 0, 10] = 1.5
    path = make_file(tmp_path / "weights.h5", broken)
    with pytest.raises(DataError, match=r"PUPPI weights must lie in \[0, 1\]"):
        ingest("aspen", [f"train={path}"], output=tmp_path / "no", options={"puppi": True})


@pytest.mark.parametrize("objective", ["masked", "flow_matching", "lejepa"])
def test_pre_training_without_labels(objective: str, tmp_path: Path) -> None:
    from hepfm.train.pretrain import pretrain

    store = read(tmp_path, np.concatenate([candidates()] * 8))
    recipe = {
        "data": {"store": str(store.path), "features": "petfull", "validation": None},
        "backbone": {"name": "transformer", "width": 16, "depth": 1, "num_heads": 4},
        "objective": objective,
        "train": {"steps": 2, "batch_size": 16, "accumulate": 1, "device": "cpu"},
    }
    result = pretrain(recipe, output=tmp_path / "run")
    assert (result.model_path / "model.safetensors").exists()
