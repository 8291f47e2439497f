"""Formats with options on the command line: ``--set`` of ``hepfm ingest`` and ``hepfm data export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hepfm.cli.data import command as data
from hepfm.cli.ingest import command as ingest
from hepfm.cli.options import read_options
from hepfm.core.errors import ConfigError
from hepfm.data.store import Store

pytest.importorskip("h5py", reason="h5py is not installed")


def run(command: Any, *args: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(command, [str(arg) for arg in args])
    return result.exit_code, result.stdout, result.stderr


def test_export_as_a_folder_and_ingest_of_its_files(jet_store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "jetnet"
    code, out, _ = run(
        data, "export", jet_store.path, "--format", "jetnet", "-o", folder, "--set", "num_particles=30"
    )
    assert code == 0
    assert out.splitlines()[-1] == f"{folder}: 1000 rows"
    (folder / "Tbqq.hdf5").rename(folder / "t.hdf5")
    code, _, error = run(ingest, "jetnet", folder / "QCD.hdf5", "-o", tmp_path / "s")
    assert (code, "cannot tell the class" in error) == (2, True)
    files = (folder / "QCD.hdf5", folder / "t.hdf5")
    code, _, error = run(ingest, "jetnet", *files, "-o", tmp_path / "s", "--set", "jet_class=q")
    assert code == 0, error
    assert Store.open(tmp_path / "s").manifest.provenance["options"] == {"jet_class": "q"}


def test_omnilearned_needs_no_options_for_our_own_files(jet_store: Store, tmp_path: Path) -> None:
    file = tmp_path / "jets.h5"
    code, *_ = run(data, "export", jet_store.path, "--format", "omnilearned", "-o", file, "--split", "val")
    assert code == 0
    code, *_ = run(ingest, "omnilearned", f"test={file}", "-o", tmp_path / "s")
    assert code == 0
    assert Store.open(tmp_path / "s").splits == {"test": range(200)}
    code, *_ = run(
        ingest, "omnilearned", file, "-o", tmp_path / "t", "--set", f"classes={{{', '.join(NUMBERED)}}}"
    )
    assert code == 0
    assert Store.open(tmp_path / "t").schema.label_classes[2] == "class2"


NUMBERED = [f"{number}: class{number}" for number in range(10)]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--format", "jetnet", "-o", "out", "--set", "num_particles=31"), "num_particles"),
        (("--format", "jetnet", "-o", "out", "--set", "particles=30"), "did you mean 'num_particles'"),
        (("--format", "jetclass", "-o", "out.root", "--set", "x"), "write key=value"),
        (("--format", "jetnett", "-o", "out"), "did you mean 'jetnet'"),
        (("--format", "omnilearned", "-o", "out.root"), "must end in .h5 or .hdf5"),
    ],
)
def test_mistakes(
    jet_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, error = run(data, "export", jet_store.path, *args)
    assert list(tmp_path.iterdir()) == []
    assert code == 2
    assert message in error
    assert "Traceback" not in error


def test_options_are_merged() -> None:
    assert read_options(["a=1", "b.c=[x, y]", "b.d=2", "a=3"]) == {"a": 3, "b": {"c": ["x", "y"], "d": 2}}
    assert read_options([]) == {}
    with pytest.raises(ConfigError, match="cannot read"):
        read_options(["=1"])
