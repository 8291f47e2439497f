"""The verbs ``hepfm data`` and ``hepfm ingest`` as users call them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hepfm.cli.data import command as data
from hepfm.cli.ingest import command as ingest
from hepfm.data.store import Store
from hepfm.data.writer import write_store


def run(command: Any, *args: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(command, [str(arg) for arg in args])
    return result.exit_code, result.stdout, result.stderr


def test_info(jet_store: Store) -> None:
    code, out, _ = run(data, "info", jet_store.path)
    assert code == 0
    assert "1000 rows (object)" in out
    assert "feature sets: kin, kinpid, full" in out
    assert out.splitlines()[-1] == f"next: hepfm data check {jet_store.path}"
    values = json.loads(run(data, "info", jet_store.path, "--json")[1])
    assert values["splits"] == {"train": 600, "val": 200, "test": 200}
    assert sum(values["classes"]["train"].values()) == 600
    assert values["provenance"]["source"] == "test jets"
    assert values["fingerprint"] == jet_store.fingerprint


def test_check_of_a_good_and_of_an_altered_store(jet_store: Store, tmp_path: Path) -> None:
    code, out, _ = run(data, "check", jet_store.path)
    assert (code, "1000 rows in 3 files are as they were written" in out) == (0, True)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in jet_store.path.iterdir():
        content = bytearray(file.read_bytes())
        if file.name == "val-00000.arrow":
            content[len(content) // 2] ^= 1
        (copy / file.name).write_bytes(content)
    code, out, error = run(data, "check", copy)
    assert (code, out) == (2, "")
    assert "val-00000.arrow was altered" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("suffix", ["root", "parquet"])
def test_export_and_ingest(jet_store: Store, tmp_path: Path, suffix: str) -> None:
    if suffix == "root":
        pytest.importorskip("uproot", reason="uproot is not installed")
    file, store = tmp_path / f"jets.{suffix}", tmp_path / "again"
    code, out, _ = run(data, "export", jet_store.path, "--format", "jetclass", "-o", file, "--split", "test")
    assert code == 0
    assert "200 rows" in out
    code, out, _ = run(ingest, "jetclass", f"val={file}", "-o", store)
    assert code == 0
    assert out.splitlines()[-1] == f"next: hepfm data info {store}"
    assert Store.open(store).splits == {"val": range(200)}


def test_ingest_splits_at_random(jet_store: Store, tmp_path: Path) -> None:
    file, store = tmp_path / "jets.parquet", tmp_path / "drawn"
    run(data, "export", jet_store.path, "-o", file)
    code, _, _ = run(ingest, "jetclass", file, "-o", store, "--split", "train=0.75,test=0.25", "--seed", 3)
    assert code == 0
    sizes = {name: len(rows) for name, rows in Store.open(store).splits.items()}
    assert sum(sizes.values()) == 1000
    assert abs(sizes["test"] - 250) < 55
    assert "  drawn by row: train=0.75,test=0.25 (seed 3)" in run(data, "info", store)[1]
    code, _, error = run(ingest, "jetclass", file, "-o", tmp_path / "b", "--split", "train=0.75,test=0.2")
    assert (code, error) == (2, "error: split train=0.75,test=0.2: the fractions sum to 0.95, not to 1\n")


def test_split_of_a_store(jet_store: Store, tmp_path: Path) -> None:
    arguments = ("--of", "train", "--split", "train=0.5,tune=0.5", "-o", tmp_path / "s")
    code, out, _ = run(data, "split", jet_store.path, *arguments)
    assert code == 0
    assert "  test: 200" in out
    assert out.splitlines()[-1] == f"next: hepfm data check {tmp_path / 's'}"
    sizes = {name: len(rows) for name, rows in Store.open(tmp_path / "s").splits.items()}
    assert sizes["train"] + sizes["tune"] == 600
    assert run(data, "split", jet_store.path, *arguments)[0] == 2
    assert run(data, "split", jet_store.path, *arguments, "--overwrite")[0] == 0


def test_check_refuses_rows_in_two_splits(jet_store: Store, tmp_path: Path) -> None:
    columns = jet_store.read(jet_store.schema.names(), range(5))
    write_store(tmp_path / "s", jet_store.schema, [("train", columns), ("val", columns)], provenance={})
    code, _, error = run(data, "check", tmp_path / "s")
    assert code == 2
    assert "error: the same row is in two splits: row " in error
    assert "and 4 more" in error


def test_plot(jet_store: Store, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = tmp_path / "fields.svg"
    code, out, _ = run(data, "plot", jet_store.path, "-o", path, "--split", "val", "--rows", 50)
    assert (code, out) == (0, f"{path}\n")
    assert "200 rows (split val), 50 of them drawn at random" in path.read_text()


@pytest.mark.parametrize(
    ("command", "args", "message"),
    [
        (data, ("info", "nowhere"), "error: no store at nowhere"),
        (data, ("check", "nowhere"), "error: no store at nowhere"),
        (data, ("export", "nowhere", "-o", "x.root"), "error: no store at nowhere"),
        (ingest, ("jetclass", "nowhere.root", "-o", "s"), "error: no file nowhere.root"),
        (ingest, ("jetnet30", "x", "-o", "s"), "error: unknown reader 'jetnet30'"),
    ],
)
def test_mistakes_end_with_2_and_a_short_message(command: Any, args: tuple[str, ...], message: str) -> None:
    code, _, error = run(command, *args)
    assert code == 2
    assert error.startswith(message)
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "verb", [["data"], ["data", "export"], ["data", "split"], ["data", "plot"], ["ingest"]]
)
def test_help_imports_no_heavy_library(verb: list[str]) -> None:
    code = (
        "import sys, hepfm.cli.main as m\n"
        f"sys.argv = ['hepfm', *{verb!r}, '--help']\n"
        "try: m.main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'numpy', 'pyarrow', 'uproot') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"
