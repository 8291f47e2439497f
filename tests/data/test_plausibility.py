"""Values that cannot be are refused at ingest with file, row, field and cure; odd ones are warned about."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepfm.core.errors import DataError
from hepfm.core.ragged import Ragged
from hepfm.data.ingest import ingest
from hepfm.data.plausibility import Plausibility
from hepfm.data.schemas.jets import jet_schema
from hepfm.data.store import Store

CASES = Path(__file__).parents[3] / "shared" / "cases"
SCHEMA = jet_schema()


@pytest.fixture
def jets(jet_store: Store) -> dict[str, Any]:
    """Twenty simulated jets."""
    columns = jet_store.read([field.name for field in SCHEMA], range(20))
    return {name: _copy(column) for name, column in columns.items()}


def _copy(column: Any) -> Any:
    return column.with_values(column.values.copy()) if isinstance(column, Ragged) else np.array(column)


def look(columns: dict[str, Any]) -> Plausibility:
    plausibility = Plausibility(SCHEMA)
    plausibility.look(columns, path=Path("f.root"), first_row=1000)
    return plausibility


def in_jet_two(change: Callable[[Any], Any], name: str) -> Callable[[dict[str, Any]], None]:
    """Return a change of the second constituent of the third jet, or of the jet itself."""

    def apply(columns: dict[str, Any]) -> None:
        column = columns[name]
        values = column.values if isinstance(column, Ragged) else column
        index = int(column.offsets[2]) + 1 if isinstance(column, Ragged) else 2
        values[index] = change(values[index])

    return apply


IMPOSSIBLE = {
    "negative energy": (in_jet_two(lambda x: -x, "part_energy"), "constituent 1: part_energy .* sign right"),
    "no energy": (in_jet_two(lambda x: 0, "part_energy"), "constituent 1: part_energy 0 is below"),
    "energy of a jet": (in_jet_two(lambda x: x / 1000, "jet_energy"), "jet_energy .* same unit"),
    "negative uncertainty": (in_jet_two(lambda x: -0.1, "part_d0_error"), "part_d0_error -0.1 is negative"),
    "charge in thirds": (in_jet_two(lambda x: 2 / 3, "part_charge"), "part_charge 0.666667 is no charge"),
    "large charge": (in_jet_two(lambda x: 35, "part_charge"), "part_charge 35 is no charge"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_cannot_be_is_refused_with_row_field_and_cure(case: str, jets: dict[str, Any]) -> None:
    look(jets)
    change, message = IMPOSSIBLE[case]
    change(jets)
    with pytest.raises(DataError, match=rf"f\.root, row 1002.*{message}"):
        look(jets)


def test_constituents_in_another_unit_than_their_jet_are_refused(jets: dict[str, Any]) -> None:
    for name in ("part_pt", "part_energy"):
        jets[name] = jets[name].with_values(jets[name].values * 1000)
    with pytest.raises(DataError, match=r"times the pt of their jets.*holds GeV"):
        look(jets)


def test_what_is_odd_is_said_once(jets: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        look(jets).warn()
        assert "differs from jet_pt" not in caplog.text
        jets["jet_pt"], jets["jet_tau1"] = jets["jet_pt"] * 1.5, np.full(20, 0.25, np.float32)
        jets["jet_energy"] = jets["jet_energy"] * 1.5
        look(jets).warn()
    assert "in 20 of 20 rows the pt of all constituents together differs" in caplog.text
    assert "jet_tau1 (0.25)" in caplog.text


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not CASES.is_dir():
        pytest.skip(f"the folder of scripts that make odd files is absent: {CASES}")
    folder = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, str(CASES / "jetclass_cases.py")], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nan_px", "field 'part_pt', row 0, constituent .*: nan must be finite"),
        ("neg_energy", "row 0, constituent 0: part_energy"),
        ("zero_energy", "part_energy 0 is below the momentum"),
        ("neg_error", "part_d0_error -0.01 is negative"),
        ("charge35", "part_charge 3.5 is no charge"),
        ("mixed_units", r"1e\+03 times the pt of their jets"),
        ("late_nan", "field 'part_d0', row 20500, constituent .*: nan must be finite"),
    ],
)
def test_odd_files_are_refused_and_leave_nothing(
    cases: Path, name: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message) as error:
        ingest("jetclass", [cases / f"{name}.parquet"], output=tmp_path / "store")
    assert f"{name}.parquet" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_the_same_file_in_two_splits_is_refused(cases: Path, tmp_path: Path) -> None:
    file = cases / "good.root"
    with pytest.raises(DataError, match=r"'train'.*'test'.* same file; give it once"):
        ingest("jetclass", [f"train={file}", f"test={file}"], output=tmp_path / "store")
    assert Store.open(ingest("jetclass", [file], output=tmp_path / "store")).splits.keys() == {"train"}
