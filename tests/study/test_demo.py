"""The demo in small: every step runs, nothing is done twice, and the report holds both ways of starting."""

import csv
from pathlib import Path

import pytest

from hepfm.core.errors import ConfigError
from hepfm.study.config import read_study
from hepfm.study.demo import demo

pytestmark = [
    pytest.mark.enable_socket,  # Dask talks to itself
    pytest.mark.xdist_group("demo"),  # its fixture is slow: made once, by one worker
]

SMALL = (
    "stores.pretrain.rows={train: 12, val: 2, test: 2}",
    "stores.top.rows={train: 40, val: 1, test: 30}",
    "pretrain.options.train={steps: 4, validate_every: 4}",
    "downstream.top_tagging.options.train={steps: 4, validate_every: 2}",
    "downstream.top_tagging.budgets=[20]",
    "seeds.replicates=[1, 2]",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pythia8mc", reason="the demo simulates collisions: extra sim")
    folder = tmp_path_factory.mktemp("demo")
    assert demo(folder, overrides=SMALL, processes=2).complete
    return folder


def test_the_report_compares_both_ways_of_starting(folder: Path) -> None:
    page = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "scratch" in page
    assert "pre-trained" in page
    with (folder / "results.csv").open(encoding="utf-8") as file:
        trainings = {(row["arm"], row["replicate"]) for row in csv.DictReader(file)}
    assert trainings == {(arm, number) for arm in ("scratch", "pre-trained") for number in "12"}


def test_a_second_call_repeats_nothing_but_the_report(folder: Path) -> None:
    done = list(folder.glob("runs/*/done.json"))
    before = {path: path.stat().st_mtime_ns for path in done}
    assert len(before) == 2 + 2 + 4 + 4
    demo(folder, overrides=SMALL, processes=1)
    assert {path: path.stat().st_mtime_ns for path in done} == before


def test_the_demo_as_it_is_makes_the_same_choice_for_both_ways_of_starting() -> None:
    config = read_study("demo")
    assert set(config.arms) == {"scratch", "pre-trained"}
    assert config.search is None
    assert len(config.seeds.replicates) == 5


def test_unknown_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'seeds'"):
        demo(tmp_path, overrides=["seedz=[3]"])
