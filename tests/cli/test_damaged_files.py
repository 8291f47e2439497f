"""Damaged files of every sort, given to the verbs that read them: a message with the name, no traceback."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from damage import DAMAGES, damaged
from format_files import make_inputs, options_of

from hepfm.data.store import Store

pytest.importorskip("h5py", reason="h5py is not installed")
pytest.importorskip("uproot", reason="uproot is not installed")

FORMATS = [
    "jetclass.root",
    "jetclass.parquet",
    "jetnet.hdf5",
    "omnilearned.h5",
    "top_tagging.h5",
    "fu_tau.parquet",
    "aspen.h5",
    "mapping.root",
    "mapping.parquet",
    "mapping.h5",
    "mapping.npz",
    "quark_gluon.npz",
    "atlas_top.h5",
    "nanoaod.root",
    "lhco.h5",
    "lhco_features.h5",
    "omnifold.npz",
    "rs3l.h5",
    "delphes.parquet",
    "physlite.parquet",
    "nanoaod_events.root",
    "delphes_events.parquet",
    "physlite_events.parquet",
    "edm4hep.parquet",
    "colliderml.parquet",
    "calochallenge.hdf5",
    "caloclouds.h5",
    "getting_high.h5",
]
TIMES = 2
"""How often a file gets damage of one sort, in other places each time."""


@pytest.fixture(scope="module")
def inputs(few_jets: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Path]]:
    """Format and path of a good file of each kind."""
    return make_inputs(tmp_path_factory.mktemp("inputs"), few_jets)


def check(result: Result, path: Path, content: bytes) -> bool:
    """Assert that a verb took a damaged file, or refused it in words; return whether it refused."""
    refused = result.exit_code == 2
    assert refused or result.exit_code == 0, (result.exception, content[:100])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    if refused:
        assert path.name in result.output or path.parent.name in result.output, result.output
    return refused


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FORMATS)
def test_files_to_ingest(inputs, call, tmp_path: Path, name: str, damage: str) -> None:
    format_name, good = inputs[name]
    path, store = tmp_path / f"bad_file{good.suffix}", tmp_path / "store"
    options = options_of(format_name, good)
    refused = 0
    for content in damaged(good.read_bytes(), DAMAGES[damage], times=TIMES, seed=len(name)):
        path.write_bytes(content)
        refused += check(call("ingest", format_name, path, "-o", store, *options), path, content)
        shutil.rmtree(store, ignore_errors=True)
        assert {entry.name for entry in tmp_path.iterdir()} == {path.name}
    if damage == "truncated":
        assert refused == TIMES


@pytest.mark.parametrize("name", FORMATS)
def test_the_files_are_good_before_they_are_damaged(inputs, call, tmp_path: Path, name: str) -> None:
    format_name, good = inputs[name]
    options = options_of(format_name, good)
    done = call("ingest", format_name, good, "-o", tmp_path / "store", *options)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["manifest.json", "train-00000.arrow"])
def test_files_of_a_store(few_jets: Store, call, tmp_path: Path, name: str, damage: str) -> None:
    store = tmp_path / "bad_store"
    shutil.copytree(few_jets.path, store)
    good = (store / name).read_bytes()
    for content in damaged(good, DAMAGES[damage], times=TIMES, seed=1):
        (store / name).write_bytes(content)
        for verb in (("data", "info"), ("data", "check"), ("show",)):
            check(call(*verb, store), store / name, content)
        if name.endswith(".arrow"):
            assert check(call("data", "check", store), store / name, content) or content == good


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "fixture.safetensors", "provenance.json"]
)
def test_files_of_a_model(small_run: Path, call, tmp_path: Path, name: str, damage: str) -> None:
    model = tmp_path / "bad_model"
    shutil.copytree(small_run / "model", model)
    good = (model / name).read_bytes()
    for content in damaged(good, DAMAGES[damage], times=TIMES, seed=2):
        (model / name).write_bytes(content)
        refused = check(call("check", model), model / name, content)
        assert refused or content == good or json.loads(content) == json.loads(good)


RUN_FILES = [
    "config.json",
    "metrics.jsonl",
    "checkpoints/step-00000004/state.json",
    "checkpoints/step-00000004/state.safetensors",
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", RUN_FILES)
def test_files_of_a_run(small_run: Path, call, tmp_path: Path, name: str, damage: str) -> None:
    run = tmp_path / "bad_run"
    good = (small_run / name).read_bytes()
    for content in damaged(good, DAMAGES[damage], times=TIMES, seed=3):
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(small_run, run)
        (run / name).write_bytes(content)
        check(call("resume", run), run / name, content)
        check(call("show", run), run / name, content)


@pytest.mark.parametrize("damage", DAMAGES)
def test_recipes(small_recipe: Path, call, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "bad_recipe.yaml"
    for content in damaged(small_recipe.read_bytes(), DAMAGES[damage], times=2 * TIMES, seed=4):
        path.write_bytes(content)
        done = call("pretrain", path, "-o", tmp_path / "run", "--smoke")
        assert done.exit_code in (0, 2), done.exception
        assert "Traceback" not in done.output
        shutil.rmtree(tmp_path / "run", ignore_errors=True)


@pytest.fixture(scope="module")
def good_result(small_run: Path, jet_store: Store, call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `hepfm evaluate` says of the small run's model."""
    path = tmp_path_factory.mktemp("results") / "good"
    done = call("evaluate", small_run / "model", "--on", "jetclass", "--store", jet_store.path, "-o", path)
    assert done.exit_code == 0, done.output
    return path


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["results.json", "scores.arrow"])
def test_files_of_a_result(good_result: Path, call, tmp_path: Path, name: str, damage: str) -> None:
    result = tmp_path / "bad_result"
    shutil.copytree(good_result, result)
    # Where it can be read all the same a whole report is made, which takes seconds.
    for content in damaged((good_result / name).read_bytes(), DAMAGES[damage], times=1, seed=5):
        (result / name).write_bytes(content)
        check(call("compare", result, "-o", tmp_path / "report"), result / name, content)
        shutil.rmtree(tmp_path / "report", ignore_errors=True)


def loop_in_heap(path: Path, owner: str, name: str) -> None:
    """Give a file an attribute of variable length and its heap an entry that ends before it starts."""
    import h5py

    with h5py.File(path, "a") as file:
        file[owner].attrs[name] = '["pt", "eta"]'
    content = bytearray(path.read_bytes())
    heap = content.find(b"GCOL")
    struct.pack_into("<Q", content, heap + 24, 2**64 - 16)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "owner", "attribute"),
    [("omnilearned.h5", "/", "columns"), ("top_tagging.h5", "table/table", "values_block_0_kind")],
)
def test_text_in_which_hdf5_loops_for_ever_is_not_read(
    inputs, tmp_path: Path, name: str, owner: str, attribute: str
) -> None:
    format_name, good = inputs[name]
    path = Path(shutil.copy(good, tmp_path / "bad_file.h5"))
    loop_in_heap(path, owner, attribute)
    command = [sys.executable, "-m", "hepfm", "ingest", format_name, str(path), "-o", str(tmp_path / "store")]
    done = subprocess.run(command, timeout=100, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "bad_file.h5: attribute" in done.stderr
    assert "fixed length" in done.stderr
