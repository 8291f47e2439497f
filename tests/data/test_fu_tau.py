"""Ingest of Fu-tau-re's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hepfm.core.errors import DataError
from hepfm.data.ingest import ingest
from hepfm.data.readers.fu_tau import FuTauReader
from hepfm.data.store import Store
from hepfm.physics.taus import DECAY_MODES

MODES = (0, 1, 10, -1, 16, 5)
LENGTHS = (1, 3, 5, 8, 2, 0)


def p4(values: Any, *, mass: bool) -> list[dict[str, float]]:
    fourth = "tau" if mass else "t"
    made = []
    for x, y, z in values:
        energy = float(np.sqrt(x * x + y * y + z * z + 0.14**2))
        made.append({"x": x, "y": y, "z": z, fourth: 0.14 if mass else energy})
    return made


def make_file(path: Path, *, mass: bool = True, **changes: Any) -> Path:
    rng = np.random.Generator(np.random.PCG64(1))
    candidates = [rng.normal([20.0, 10.0, 5.0], 2.0, (length, 3)).tolist() for length in LENGTHS]
    charge = [[[1, -1, 0][k % 3] for k in range(length)] for length in LENGTHS]
    pdg = [[[211, -211, 22][k % 3] for k in range(length)] for length in LENGTHS]
    values = [[0.01 if one else -999.0 for one in row] for row in charge]
    columns = {
        "reco_cand_p4s": [p4(row, mass=mass) for row in candidates],
        "reco_cand_charge": charge,
        "reco_cand_pdg": pdg,
        **{f"reco_cand_{name}": values for name in ("dxy", "dz", "dxy_err", "dz_err")},
        "reco_jet_p4s": p4([[40.0 + k, 20.0, 10.0] for k in range(len(MODES))], mass=mass),
        "gen_jet_tau_decaymode": list(MODES),
        "gen_jet_tau_p4s": p4([[30.0, 20.0, 10.0]] * len(MODES), mass=mass),
        **changes,
    }
    pq.write_table(pa.table({name: value for name, value in columns.items() if value is not None}), path)
    return path


@pytest.mark.parametrize("mass", [True, False])
def test_jets_labels_and_visible_taus(mass: bool, tmp_path: Path) -> None:
    path = make_file(tmp_path / "z_train.parquet", mass=mass)
    store = Store.open(ingest("fu_tau", [f"train={path}"], output=tmp_path / "store"))
    list(store.verify())
    assert store.schema.label_classes == ("quark", "tau")
    found = store.read(store.schema.names())
    assert found["jet_label"].tolist() == [1, 1, 1, 0, 1], "the leptonic decay is left out"
    modes = [DECAY_MODES[k] for k in found["tau_decay_mode"]]
    assert modes == ["h", "h_pi0", "3h", "none", "3h"]
    assert store.lengths("constituent").tolist() == [1, 3, 5, 8, 0]
    visible, jet = np.hypot(30, 20), np.hypot(41, 20)
    assert found["tau_log_pt_ratio"][1] == pytest.approx(np.log(visible / jet), rel=1e-5)
    assert found["tau_visible_pt"][1] == pytest.approx(visible, rel=1e-6)
    assert found["tau_visible_mass"][1] == pytest.approx(0.14, abs=1e-3)
    assert found["tau_log_pt_ratio"][3] == found["tau_visible_pt"][3] == 0
    neutral = found["part_charge"].row(3) == 0
    assert not found["part_d0"].row(3)[neutral].any()
    np.testing.assert_allclose(found["part_dz_error"].row(3)[~neutral], 0.01)
    energy = (
        found["part_energy"].row(0) ** 2 - (found["part_pt"].row(0) * np.cosh(found["part_eta"].row(0))) ** 2
    )
    np.testing.assert_allclose(np.sqrt(energy), 0.14, atol=0.02)


def test_bad_files(tmp_path: Path) -> None:
    for name, changes, message in (
        ("lacks", {"reco_cand_dz": None}, "lacks the columns of Fu-tau-re reco_cand_dz"),
        ("lengths", {"reco_cand_pdg": [[1]] * len(MODES)}, "different numbers of candidates"),
        ("flat", {"reco_cand_dz": [0.0] * len(MODES)}, "must hold a list per jet"),
        ("momenta", {"reco_jet_p4s": [1.0] * len(MODES)}, "structures of x, y, z"),
    ):
        path = make_file(tmp_path / f"{name}.parquet", **changes)
        with pytest.raises(DataError, match=message):
            ingest("fu_tau", [f"train={path}"], output=tmp_path / "no")
    charged = [[0.01] * length for length in LENGTHS]
    path = make_file(tmp_path / "missing.parquet", reco_cand_dz=[[None, 0.1, 0.2], *charged[1:]])
    with pytest.raises(DataError, match="different numbers"):
        ingest("fu_tau", [f"train={path}"], output=tmp_path / "no")
    (tmp_path / "junk.parquet").write_bytes(b"junk")
    with pytest.raises(DataError, match="cannot read"):
        ingest("fu_tau", [f"train={tmp_path / 'junk.parquet'}"], output=tmp_path / "no")


def test_missing_decay_mode_and_negative_errors(tmp_path: Path) -> None:
    path = make_file(tmp_path / "a.parquet", gen_jet_tau_decaymode=[0, None, 10, -1, 1, 5])
    with pytest.raises(DataError, match="decay mode is missing"):
        ingest("fu_tau", [path], output=tmp_path / "store")
    errors = [[-1.0] * length for length in LENGTHS]
    path = make_file(tmp_path / "b.parquet", reco_cand_dxy_err=errors)
    store = Store.open(ingest("fu_tau", [path], output=tmp_path / "other"))
    assert (store.read(["part_d0_error"])["part_d0_error"].values == 0).all()


def test_the_schema_is_that_of_fu_tau_files_only(tmp_path: Path) -> None:
    path = make_file(tmp_path / "lacks.parquet", reco_cand_dz=None)
    with pytest.raises(DataError, match="lacks the columns"):
        FuTauReader(FuTauReader.Config()).schema(path)


def test_a_missing_impact_parameter_is_that_of_a_track_that_was_not_measured(tmp_path: Path) -> None:
    values = [[0.02] * length for length in LENGTHS]
    path = make_file(tmp_path / "a.parquet", reco_cand_dz=[[None], *values[1:]])
    store = Store.open(ingest("fu_tau", [path], output=tmp_path / "store"))
    found = store.read(["part_dz", "part_dz_error", "part_d0"])
    assert [found[name].row(0).tolist() for name in found] == [[0.0], [0.0], [pytest.approx(0.01)]]
