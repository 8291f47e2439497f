"""The verb: same jets whatever the number of processes, resume after a stop, and clear refusals."""

from __future__ import annotations

import errno
import json
import multiprocessing
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from hepfm.cli.simulate import command
from hepfm.core.errors import ConfigError, DataError, HepfmError
from hepfm.data.store import Store
from hepfm.simulate import jets, run, workers
from hepfm.simulate.chunk import ChunkKey
from hepfm.simulate.jet_recipe import JetRecipe
from hepfm.simulate.recipe import read_simulation

pytestmark = pytest.mark.xdist_group("simulate_run")  # its fixtures are slow: made once, by one worker

pytest.importorskip("pythia8mc", reason="the extra 'sim' is not installed")
pytest.importorskip("fastjet", reason="the extra 'sim' is not installed")

COMMON = ["Beams:eCM = 13000.", "PhaseSpace:pTHatMin = 500."]
TINY: dict[str, Any] = {
    "seed": 4,
    "jets": {"train": 24, "val": 6, "test": 6},
    "chunk_jets": 12,
    "batch_events": 40,
    "mpi": False,
    "pythia": COMMON,
    "classes": {
        "QCD": {"pythia": ["HardQCD:all = on"]},
        "Tbqq": {
            "pythia": [
                "Top:gg2ttbar = on",
                "Top:qqbar2ttbar = on",
                "24:onMode = off",
                "24:onIfAny = 1 2 3 4 5",
            ],
            "match": {"resonance": 6, "decay": "q q q"},
        },
    },
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The tiny recipe, made in this process."""
    path = tmp_path_factory.mktemp("simulate") / "store"
    return Store.open(run.simulate(TINY, output=path, processes=1).path)


def test_store_has_the_jets_asked_for(store: Store) -> None:
    assert {name: len(rows) for name, rows in store.splits.items()} == {"train": 48, "val": 12, "test": 12}
    columns = store.read(list(store.schema.names()), np.arange(store.num_rows))
    label = np.asarray(columns["jet_label"])
    for rows in store.splits.values():
        assert np.bincount(label[np.asarray(rows)]).tolist() == [len(rows) // 2] * 2
    assert (np.diff(label[:48]) != 0).sum() > 10  # shuffled across classes
    pt = np.asarray(columns["jet_pt"])
    assert ((pt > 500) & (pt < 1000)).all()
    assert not list(store.path.parent.glob(".*"))  # no work left behind


def test_provenance_names_settings_seed_versions_and_counts(store: Store) -> None:
    provenance = store.manifest.provenance
    assert provenance["seed"] == 4
    assert set(provenance["versions"]) >= {"hepfm", "pythia8mc", "fastjet"}
    assert "HardQCD:all = on" in provenance["classes"]["QCD"]["pythia"]
    assert "PartonLevel:MPI = off" in provenance["classes"]["QCD"]["pythia"]
    assert provenance["classes"]["Tbqq"]["jets_kept"] == 36
    assert provenance["classes"]["Tbqq"]["events"] >= 36 / 2
    assert provenance["detector"]["tracks_by_calorimeter"] is True
    assert read_simulation(provenance["recipe"]).fingerprint() == provenance["recipe_fingerprint"]


def test_same_jets_with_two_processes(store: Store, tmp_path: Path) -> None:
    other = run.simulate(TINY, output=tmp_path / "store", processes=2)
    assert Store.open(other.path).fingerprint == store.fingerprint


def test_another_seed_gives_other_jets(store: Store, tmp_path: Path) -> None:
    small = {**TINY, "jets": {"train": 6}, "only": ["QCD"]}
    one = Store.open(run.simulate(small, output=tmp_path / "one", processes=1).path)
    two = Store.open(run.simulate(small, output=tmp_path / "two", processes=1, seed=5).path)
    assert one.fingerprint != two.fingerprint


def test_a_stopped_run_goes_on_and_ends_with_the_same_jets(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ChunkKey] = []
    make = jets.make_chunk

    def stop_after_three(recipe: JetRecipe, key: ChunkKey) -> Any:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(key)
        return make(recipe, key)

    monkeypatch.setattr(jets, "make_chunk", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        run.simulate(TINY, output=tmp_path / "store", processes=1)
    assert not (tmp_path / "store").exists()
    work = tmp_path / ".store.chunks"
    before = {file.name: file.stat().st_mtime_ns for file in work.glob("*.npz")}
    assert sorted(before) == sorted(key.file for key in made)

    monkeypatch.setattr(jets, "make_chunk", lambda recipe, key: (made.append(key), make(recipe, key))[1])
    run.simulate(TINY, output=tmp_path / "store", processes=1)
    assert len(made) == len(set(made)) == 8  # nothing was made twice
    assert Store.open(tmp_path / "store").fingerprint == store.fingerprint
    assert not work.exists()


def test_a_killed_process_loses_only_what_it_was_making(store: Store, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.yaml"
    YAML().dump(TINY, recipe)
    command_line = [sys.executable, "-m", "hepfm", "simulate", str(recipe), "-o", "store", "--processes", "1"]
    process = subprocess.Popen(command_line, cwd=tmp_path, stderr=subprocess.DEVNULL)
    work = tmp_path / ".store.chunks"
    while process.poll() is None and len(list(work.glob("*.npz"))) < 2:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert len(list(work.glob("*.npz"))) >= 2
    assert not (tmp_path / "store").exists()
    run.simulate(recipe, output=tmp_path / "store", processes=1)
    assert Store.open(tmp_path / "store").fingerprint == store.fingerprint


def test_killed_worker_is_told_and_the_rest_is_kept(store: Store, tmp_path: Path) -> None:
    def kill_a_worker_after_the_first_chunk() -> None:
        while not list((tmp_path / ".store.chunks").glob("*.npz")):
            time.sleep(0.01)
        multiprocessing.active_children()[0].kill()

    threading.Thread(target=kill_a_worker_after_the_first_chunk, daemon=True).start()
    with pytest.raises(HepfmError, match="a worker process was killed"):
        run.simulate(TINY, output=tmp_path / "store", processes=2)
    assert list((tmp_path / ".store.chunks").glob("*.npz"))
    run.simulate(TINY, output=tmp_path / "store", processes=1)
    assert Store.open(tmp_path / "store").fingerprint == store.fingerprint


def test_scripts_need_no_guard_and_may_come_from_standard_input(store: Store, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.yaml"
    YAML().dump(TINY, recipe)
    script = "from hepfm import api\napi.simulate('tiny.yaml', output='store', processes=2)\n"
    subprocess.run(
        [sys.executable, "-"], input=script, text=True, cwd=tmp_path, check=True, capture_output=True
    )
    assert Store.open(tmp_path / "store").fingerprint == store.fingerprint


def test_work_of_another_recipe_is_not_mixed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, made = jets.make_chunk, []

    def stop_at_the_second(recipe: JetRecipe, key: ChunkKey) -> Any:
        if made:
            raise KeyboardInterrupt
        made.append(key)
        return real(recipe, key)

    monkeypatch.setattr(jets, "make_chunk", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run.simulate(TINY, output=tmp_path / "store", processes=1)
    monkeypatch.undo()
    with pytest.raises(DataError, match="unfinished work of another recipe"):
        run.simulate(TINY, output=tmp_path / "store", processes=1, seed=99)


def test_a_start_without_any_chunk_does_not_stand_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(recipe: JetRecipe, key: ChunkKey) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(jets, "make_chunk", stop)
    with pytest.raises(KeyboardInterrupt):
        run.simulate(TINY, output=tmp_path / "store", processes=1)
    assert list(tmp_path.iterdir()) == []


def test_damaged_chunk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def truncated(recipe: JetRecipe, key: ChunkKey, work: Path) -> ChunkKey:
        (work / key.file).write_bytes(b"PK\x03\x04")
        return key

    monkeypatch.setattr(workers, "write_chunk", truncated)
    with pytest.raises(DataError, match=r"cannot read .*QCD-train-00000.npz .*remove it"):
        run.simulate(TINY, output=tmp_path / "store", processes=1)


def test_full_disk_is_told_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def full(file: Any, **arrays: Any) -> None:
        calls.append(file)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(workers.np, "savez", full)
    with pytest.raises(HepfmError, match="no room left on the disk"):
        run.simulate(TINY, output=tmp_path / "store", processes=1)
    assert calls
    assert not (tmp_path / ".store.chunks").exists()


def test_complete_store_is_found_again_and_others_are_refused(store: Store) -> None:
    again = run.simulate(TINY, output=store.path, processes=1)
    assert again.rows == {"train": 48, "val": 12, "test": 12}
    assert again.pythia_share is None
    with pytest.raises(DataError, match="another recipe or seed"):
        run.simulate(TINY, output=store.path, processes=1, seed=5)


def test_output_that_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with pytest.raises(DataError, match="is not a store"):
        run.simulate(TINY, output=tmp_path / "notes", processes=1)


def test_process_that_cannot_start(tmp_path: Path) -> None:
    nothing_on = {**TINY, "classes": {"QCD": {"pythia": ["HardQCD:all = off"]}}}
    with pytest.raises(ConfigError, match="class QCD: Pythia cannot start"):
        run.simulate(nothing_on, output=tmp_path / "store", processes=1)


HIGGS = {"resonance": 25, "decay": "b b"}
CUTS = [
    (
        {"pt_min": 100.0},
        HIGGS,
        r"None is left of those that are what match asks for \(resonance=25, decay=b b\)",
    ),
    (
        {"pt_min": 5000.0, "pt_max": 6000.0},
        {},
        "None is left of those clustered with pt above pt_min=5000 GeV",
    ),
    ({"pt_min": 100.0, "pt_max": 100.1}, {}, "None is left of those within pt_max=100.1"),
    ({"pt_min": 400.0, "eta_max": 1e-6}, {}, "None is left of those within eta_max=1e-06"),
    ({"pt_min": 400.0, "rapidity_max": 1e-6}, {}, "None is left of those within rapidity_max=1e-06"),
]


@pytest.mark.parametrize(("selection", "match", "message"), CUTS)
def test_a_class_without_a_jet_names_the_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, selection: Any, match: Any, message: str
) -> None:
    monkeypatch.setattr("hepfm.simulate.collisions.HOPELESS_EVENTS", 80)
    recipe = {
        **TINY,
        "selection": selection,
        "classes": {"QCD": {"pythia": ["HardQCD:all = on"], "match": match}},
    }
    with pytest.raises(ConfigError, match=rf"class QCD: no jet passed in 80 events\. {message}"):
        run.simulate(recipe, output=tmp_path / "store", processes=1)


def test_what_a_failed_recipe_left_does_not_block_the_corrected_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hepfm.simulate.collisions.HOPELESS_EVENTS", 80)
    good = {"pythia": ["HardQCD:all = on"]}
    recipe = {**TINY, "jets": {"train": 6}, "classes": {"A": good, "B": {**good, "match": HIGGS}}}
    with pytest.raises(ConfigError, match="class B"):  # when the jets of A are there
        run.simulate(recipe, output=tmp_path / "store", processes=1)
    run.simulate({**recipe, "classes": {"A": good, "B": good}}, output=tmp_path / "store", processes=1)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_second_simulation_of_one_output_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    make = jets.make_chunk

    def start_another(recipe: JetRecipe, key: ChunkKey) -> Any:
        if not told:
            with pytest.raises(
                HepfmError, match=r"another simulation is at work on .*store; wait for it"
            ) as error:
                run.simulate(TINY, output=tmp_path / "store", processes=1)
            told.append(error)
        return make(recipe, key)

    monkeypatch.setattr(jets, "make_chunk", start_another)
    run.simulate({**TINY, "jets": {"train": 6}}, output=tmp_path / "store", processes=1)
    assert told
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_command_line_ends_with_the_next_command(tmp_path: Path) -> None:
    options = [
        "only=[QCD]",
        "jets.train=5",
        "jets.val=0",
        "jets.test=0",
        "batch_events=20",
        "--processes",
        "1",
    ]
    path = tmp_path / "store"
    result = CliRunner().invoke(command, ["jetclass_fast", "-o", str(path), *options, "--json"])
    assert result.exit_code == 0
    assert json.loads(result.output)["rows"] == {"train": 5}
    again = CliRunner().invoke(command, ["jetclass_fast", "-o", str(path), *options])
    assert again.output.splitlines()[-1] == f"next: hepfm data info {path}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["jetclas"], "did you mean 'jetclass'"),
        (["jetclass", "only=[Hbx]"], "unknown class 'Hbx' in 'only'; did you mean 'Hbb'"),
        (["jetclass", "jets"], "write key=value"),
        (["jetclass", "pythia=['Foo:bar = 1']"], "Pythia does not take the line 'Foo:bar = 1'"),
    ],
)
def test_mistakes_exit_with_two_and_no_traceback(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [*arguments, "-o", str(tmp_path / "store")])
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pythia8mc", None)
    result = CliRunner().invoke(command, ["jetclass", "-o", str(tmp_path / "store")])
    assert result.exit_code == 2
    assert "pip install 'hepfm[sim]'" in result.output
