"""Inputs that are no files and outputs that cannot be, given to every verb: exit code 2 and the name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hepfm.data.store import Store

TINY = "showers={train: 2}"


@pytest.fixture(scope="session")
def verbs(few_jets: Store, small_recipe: Path, small_run: Path, tmp_path_factory: pytest.TempPathFactory):
    """Arguments of every verb that writes, all but ``-o``, and how the name of its output ends."""
    folder = tmp_path_factory.mktemp("verbs")
    simulation = folder / "showers.yaml"
    simulation.write_text("kind: showers\nshowers: {train: 2}\nenergy: {min: 1, max: 2}\n")
    jets = folder / "jets.parquet"
    from hepfm.data.exporters.export import export_store

    export_store(few_jets, jets)
    model = small_run / "model"
    return {
        "simulate": (("simulate", simulation, "--processes", "1"), ""),
        "ingest": (("ingest", "jetclass", jets), ""),
        "data export": (("data", "export", few_jets.path), ".parquet"),
        "pretrain": (("pretrain", small_recipe), ""),
        "finetune": (
            (
                "finetune",
                model,
                "demo",
                f"data.store={few_jets.path}",
                "data.budget=20",
                "early_stopping=null",
            ),
            "",
        ),
        "predict": (("predict", model, few_jets.path), ".arrow"),
        "evaluate": (("evaluate", model, "--on", "jetclass", "--store", few_jets.path), ""),
        "compare": (("compare", "--store", few_jets.path), ""),
        "export": (("export", model), ".onnx"),
    }


VERBS = [
    "simulate",
    "ingest",
    "data export",
    "pretrain",
    "finetune",
    "predict",
    "evaluate",
    "compare",
    "export",
]


def refused(result, *names: str) -> None:
    assert result.exit_code == 2, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    for name in names:
        assert name in result.output


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("output", [".", "..", "/"])
@pytest.mark.parametrize("verb", VERBS)
def test_places_as_outputs(verbs, call, in_folder: Path, verb: str, output: str) -> None:
    arguments, _ = verbs[verb]
    refused(call(*arguments, "-o", output), output)
    assert not list(in_folder.iterdir())


@pytest.mark.parametrize("verb", VERBS)
def test_outputs_below_a_file(verbs, call, in_folder: Path, verb: str) -> None:
    arguments, ending = verbs[verb]
    (in_folder / "file").write_text("text")
    refused(call(*arguments, "-o", f"file/out{ending}"), "file/out")
    assert (in_folder / "file").read_text() == "text"


@pytest.mark.parametrize("verb", VERBS)
def test_outputs_with_names_too_long(verbs, call, in_folder: Path, verb: str) -> None:
    arguments, ending = verbs[verb]
    refused(call(*arguments, "-o", "x" * 300 + ending), "xxx", "too long")
    assert not list(in_folder.iterdir())


@pytest.mark.parametrize("verb", VERBS)
def test_outputs_where_nobody_may_write(verbs, call, in_folder: Path, verb: str) -> None:
    if not Path("/sys/kernel").is_dir():
        pytest.skip("needs a place where not even root may write")
    arguments, ending = verbs[verb]
    refused(call(*arguments, "-o", f"/sys/kernel/out{ending}"), "/sys/kernel")


@pytest.mark.parametrize("verb", VERBS)
def test_what_stands_at_the_output_is_kept(verbs, call, in_folder: Path, verb: str) -> None:
    arguments, ending = verbs[verb]
    file, folder = in_folder / f"file{ending}", in_folder / f"folder{ending}"
    file.write_text("precious")
    folder.mkdir()
    (folder / "precious").write_text("precious")
    refused(call(*arguments, "-o", file), "file")
    refused(call(*arguments, "-o", folder), "folder")
    assert file.read_text() == "precious"
    assert [entry.name for entry in folder.iterdir()] == ["precious"]
    assert {entry.name for entry in in_folder.iterdir()} == {file.name, folder.name}


@pytest.mark.parametrize("verb", ["predict", "export", "data export"])
def test_overwrite_replaces_a_file(verbs, call, in_folder: Path, verb: str) -> None:
    if verb == "export":
        pytest.importorskip("onnxscript", reason="the extra 'onnx' is not installed")
    arguments, ending = verbs[verb]
    file = in_folder / f"file{ending}"
    file.write_text("old")
    refused(call(*arguments, "-o", file), "--overwrite")
    done = call(*arguments, "-o", file, "--overwrite")
    assert done.exit_code == 0, done.output
    assert file.read_bytes() != b"old"


READING = {
    "recipe of simulate": ("simulate", "{}", "-o", "out"),
    "recipe of pretrain": ("pretrain", "{}", "-o", "out"),
    "recipe of finetune": ("finetune", "{model}", "{}", "-o", "out"),
    "recipe of tokenize": ("tokenize", "{}", "-o", "out"),
    "study": ("study", "{}", "-o", "out"),
    "file of ingest": ("ingest", "jetclass", "{}", "-o", "out"),
    "store of info": ("data", "info", "{}"),
    "store of check": ("data", "check", "{}"),
    "store of predict": ("predict", "{model}", "{}", "-o", "out.arrow"),
    "store of evaluate": ("evaluate", "{model}", "--on", "jetclass", "--store", "{}"),
    "store of pretrain": ("pretrain", "{recipe}", "data.store={}", "-o", "out"),
    "model of predict": ("predict", "{}", "{store}", "-o", "out.arrow"),
    "model of check": ("check", "{}"),
    "model of export": ("export", "{}", "-o", "out.onnx"),
    "model of generate": ("generate", "{}", "-n", "2", "-o", "out"),
    "model of finetune": ("finetune", "{}", "demo", "-o", "out"),
    "run of resume": ("resume", "{}"),
    "result of compare": ("compare", "{}"),
    "codes of decode": ("tokenize", "{model}", "--decode", "{}", "-o", "out"),
    "checkpoint of convert": ("convert", "weaver", "{}", "-o", "out"),
    "preprocessing file of convert": ("convert", "weaver", "{checkpoint}", "--data", "{}", "-o", "out"),
    "what show shows": ("show", "{}"),
}


@pytest.fixture
def specials(tmp_path: Path) -> dict[str, str]:
    """Things that are no files; who opens the pipe waits for ever."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "empty_folder.yaml").mkdir()
    (tmp_path / "circle.yaml").symlink_to("circle.yaml")
    (tmp_path / "dangling.yaml").symlink_to("nowhere.yaml")
    return {
        "pipe": str(tmp_path / "pipe.yaml"),
        "folder": str(tmp_path / "empty_folder.yaml"),
        "circle": str(tmp_path / "circle.yaml"),
        "dangling": str(tmp_path / "dangling.yaml"),
        "device": "/dev/zero",
        "missing": str(tmp_path / "nowhere.yaml"),
        "below a file": f"{__file__}/x.yaml",
        "too long": "x" * 300 + ".yaml",
    }


@pytest.mark.parametrize(
    "special", ["pipe", "folder", "circle", "dangling", "device", "missing", "below a file", "too long"]
)
@pytest.mark.parametrize("place", READING)
def test_inputs_that_are_no_files(
    specials,
    call,
    in_folder: Path,
    few_jets: Store,
    small_run: Path,
    small_recipe: Path,
    place: str,
    special: str,
) -> None:
    given = specials[special]
    checkpoint = Path(specials["missing"]).with_name("net.pt")
    torch.save({}, checkpoint)
    names = {"model": small_run / "model", "store": few_jets.path, "recipe": small_recipe}
    names["checkpoint"] = checkpoint
    arguments = [part.replace("{}", given).format(**names) for part in READING[place]]
    refused(call(*arguments), Path(given).name[:100])
    assert not list(in_folder.iterdir())


ODD_YAML = [
    "seed: 1e400",
    "seed: .nan",
    "seed: -.inf",
    f"seed: {'9' * 5000}",
    f"seed: {10**30}",
    "seed: -1",
    "seed: 1.5",
    "seed: true",
    "seed: 2026-13-45",
    "seed: 2026-01-02",
    "seed: !!python/object:os.system x",
    "seed: !!binary aGVq",
    "seed: !!set {a, b}",
    "seed: *nowhere",
    "seed: &a [*a]",
    "seed: {1.5: 2}",
    "seed: {[1]: 2}",
    "seed: {? [a]: b}",
    "seed: '\\ud800'",
    'seed: "\\ud800"',
    "seed: " + "[" * 200 + "]" * 200,
    "seed: 0x" + "F" * 40,
    "train: {steps: 1e30}",
    "train: {steps: 0}",
    "train: {batch_size: 99999999999999999999}",
    "train: {device: 3}",
    "train: []",
    "data: text",
    "data: {store: 3}",
    "data: {store: [a]}",
    "backbone: {name: [1]}",
    "backbone: {name: transformer, width: .inf}",
    "objective: 7",
    "base: 5",
    "base: [a]",
    "base: {a: b}",
    "? [complex]\n: value",
    "- a list",
    "just a text",
    "\t",
    "a: b: c",
    "seed: 1\nseed: 2",
    "\x00",
    "%YAML 9.9\n---\nseed: 1",
]


@pytest.mark.parametrize("line", ODD_YAML)
def test_odd_recipes(call, small_recipe: Path, in_folder: Path, line: str) -> None:
    path = in_folder / "odd_recipe.yaml"
    kept = [row for row in small_recipe.read_text().splitlines() if not row.startswith(line.split(":")[0])]
    path.write_text("\n".join([*kept, line]) + "\n")
    refused(call("pretrain", path, "-o", "out"), "odd_recipe.yaml")
    assert [entry.name for entry in in_folder.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "value", ["1e400", ".nan", "9" * 5000, str(10**30), "2026-13-45", "!!python/x y", "*a", "&a [*a]"]
)
def test_odd_overrides(call, small_recipe: Path, in_folder: Path, value: str) -> None:
    refused(call("pretrain", small_recipe, f"seed={value}", "-o", "out"), "seed")
    assert not list(in_folder.iterdir())


NO_ROOM = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as on a full disk: the write fails
limit = int(sys.argv.pop(1))
import hepfm.cli.main, torch, h5py, pyarrow.parquet  # no file may be too long for an import
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
hepfm.cli.main.main()
"""


@pytest.mark.parametrize(
    ("verb", "limit"),
    [
        ("simulate", 0),
        ("simulate", 3000),
        ("ingest", 3000),
        ("data export", 0),
        ("data export .root", 3000),
        ("data export .h5", 3000),
        ("pretrain", 3000),
        ("predict", 0),
        ("predict .parquet", 1000),
        ("predict .h5", 0),
        ("predict .h5", 3000),
        ("predict .root", 1000),
        ("evaluate", 3000),
    ],
)
def test_a_full_disk(verbs, in_folder: Path, verb: str, limit: int) -> None:
    """The largest size of a file stands for the room on the disk."""
    name, _, given = verb.partition(" .")
    arguments, ending = verbs[name]
    more = ("--format", "omnilearned") if verb == "data export .h5" else ()
    output = f"out{f'.{given}' if given else ending}"
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, str(limit), *map(str, arguments), *more, "-o", output],
        capture_output=True,
        text=True,
        check=False,
        cwd=in_folder,
    )
    assert done.returncode == 2, done.stderr[-2000:]
    assert "no room left on the disk while writing" in done.stderr
    assert "Traceback" not in done.stderr
    assert ".partial" not in done.stderr
    assert not [entry.name for entry in in_folder.rglob("*") if ".partial" in entry.name]
    if name != "pretrain":
        assert not (in_folder / output).exists()
