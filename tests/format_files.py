"""Small files of every format that `hepfm ingest` reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from hepfm.data.exporters.export import export_store
from hepfm.data.store import Store


def write_hdf5(path: Path, **arrays: np.ndarray) -> Path:
    """Write data sets."""
    import h5py

    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def write_top_tagging(path: Path, rows: int = 3) -> Path:
    """Write jets in the layout of the top-tagging reference set, with pandas as it was written."""
    import pandas as pd

    names = [f"{part}_{slot}" for slot in range(200) for part in ("E", "PX", "PY", "PZ")]
    momenta = np.zeros((rows, 800), np.float32)
    momenta[:, :4] = (60.0, 40.0, 30.0, 20.0)
    frame = pd.DataFrame(momenta, columns=names)
    frame = pd.concat([frame, pd.DataFrame({"is_signal_new": np.zeros(rows, int)})], axis=1)
    frame.to_hdf(path, key="table", format="table")
    return path


def write_fu_tau(path: Path) -> Path:
    """Write two jets in the layout of Fu-tau-re."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    p4 = {"x": 20.0, "y": 10.0, "z": 5.0, "tau": 0.14}
    columns = {
        "reco_cand_p4s": [[p4, p4], [p4]],
        "reco_cand_charge": [[1, 0], [-1]],
        "reco_cand_pdg": [[211, 22], [-211]],
        **{f"reco_cand_{name}": [[0.01, -999.0], [0.02]] for name in ("dxy", "dz", "dxy_err", "dz_err")},
        "reco_jet_p4s": [p4, p4],
        "gen_jet_tau_decaymode": [0, -1],
        "gen_jet_tau_p4s": [p4, p4],
    }
    pq.write_table(pa.table(columns), path)
    return path


def make_inputs(folder: Path, jets: Store) -> dict[str, tuple[str, Path]]:
    """Write a file of every format that `hepfm ingest` reads; return format and path by a name."""
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 20, (2, 4, 6)).astype(np.float32)
    candidates = np.abs(rng.normal(10.0, 1.0, (2, 5, 11))).astype(np.float32)
    candidates[..., 8], candidates[..., 9], candidates[..., 10] = 1, 211, 0.5
    candidates[..., 3] = 60.0
    made = {
        "jetclass.root": export_store(jets, folder / "jetclass.root"),
        "jetclass.parquet": export_store(jets, folder / "jetclass.parquet"),
        "jetnet.hdf5": export_store(
            jets, folder / "jetnet", format_name="jetnet", options={"num_particles": 30}
        ),
        "omnilearned.h5": export_store(jets, folder / "omnilearned.h5", format_name="omnilearned"),
        "top_tagging.h5": write_top_tagging(folder / "top_tagging.h5"),
        "fu_tau.parquet": write_fu_tau(folder / "fu_tau.parquet"),
        "aspen.h5": write_hdf5(
            folder / "aspen.h5",
            event_info=np.arange(6).reshape(2, 3),
            jet_kinematics=np.tile(np.array([500.0, 0.1, 0.2, 80.0], np.float32), (2, 1)),
            PFCands=candidates,
            jet_tagging=np.zeros((2, 13), np.float32),
        ),
        "calochallenge.hdf5": write_hdf5(
            folder / "calochallenge.hdf5",
            showers=rng.exponential(5.0, (2, 6480)).astype(np.float32),
            incident_energies=np.full((2, 1), 2e3, np.float32),
        ),
        "caloclouds.h5": write_hdf5(
            folder / "caloclouds.h5", events=points, energy=np.array([[10.0], [90.0]], np.float32)
        ),
        "getting_high.h5": write_hdf5(
            folder / "getting_high.h5",
            showers=points.transpose(0, 2, 1),
            genE=np.array([[10.0], [90.0]], np.float32),
        ),
    }
    made["jetnet.hdf5"] = shutil.copy(next(made["jetnet.hdf5"].glob("*.hdf5")), folder / "g.hdf5")
    return {name: (name.split(".")[0], path) for name, path in made.items()}
