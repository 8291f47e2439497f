"""The demo in small: every step runs, nothing is done twice, and the report holds both ways of starting."""

import csv
import shutil
from pathlib import Path

import pytest

from hepfm.core.errors import ConfigError
from hepfm.study.demo import demo

SMALL = (
    "pretrain_jets=12",
    "finetune_jets=40",
    "test_jets=30",
    "pretrain_steps=4",
    "finetune_steps=4",
    "budgets=[20]",
    "seeds=2",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pythia8mc", reason="the demo simulates collisions: extra sim")
    folder = tmp_path_factory.mktemp("demo")
    demo(folder, overrides=SMALL, processes=2)
    return folder


def test_the_report_compares_both_ways_of_starting(folder: Path) -> None:
    page = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "scratch" in page
    assert "pre-trained" in page
    with (folder / "report" / "csv" / "task1-top_tagging-results.csv").open(encoding="utf-8") as file:
        arms = {row["arm"] for row in csv.DictReader(file)}
    assert arms == {"scratch", "pre-trained, full", "row baseline (4 numbers)", "commonest class"}
    assert len(list((folder / "results").glob("*/results.json"))) == 4


def test_a_second_call_repeats_nothing_but_the_report(folder: Path) -> None:
    files = [
        path
        for kind in ("stores", "runs", "results")
        for path in (folder / kind).rglob("*")
        if path.is_file()
    ]
    before = {path: path.stat().st_mtime_ns for path in files}
    demo(folder, overrides=SMALL, processes=1)
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_an_interrupted_demo_goes_on(folder: Path) -> None:
    result = next((folder / "results").glob("scratch-*"))
    shutil.rmtree(result)
    demo(folder, overrides=SMALL, processes=1)
    assert (result / "results.json").exists()


def test_unknown_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'budgets'"):
        demo(tmp_path, overrides=["budgetz=[3]"])
