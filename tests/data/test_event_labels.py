"""Labels of events from generator particles: what they say, and what is refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from event_rows import event_columns, event_table

from hepfm.cli.main import group
from hepfm.core.errors import ConfigError, DataError, IncompatibleError
from hepfm.core.ragged import Ragged, lists
from hepfm.data.event_labels import read_label_set
from hepfm.data.label import label, shares
from hepfm.data.schemas.events import OBJECT_TYPES, event_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store

PROCESSES = ("ttbar", "Zjets")
TOPS: dict[str, Any] = {"particles": {"top": {"at_least": [1, 2, 3], "pt": [50, 80], "hardest": 3}}}


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("events") / "store"
    write_store(path, event_schema(PROCESSES, truth=True), [("train", event_columns(60))], provenance={})
    return Store.open(path)


def tops(columns: Any, row: int) -> list[float]:
    """Return the pt of the generator tops of an event, falling."""
    ragged = [lists(columns, f"object_{name}") for name in ("type", "level", "pt")]
    kind, level, pt = (one.values[one.offsets[row] : one.offsets[row + 1]] for one in ragged)
    found = pt[(kind == OBJECT_TYPES.index("top")) & (level == 1)]
    return sorted(map(float, found), reverse=True)


def test_labels_say_what_the_particles_are(events: Store, tmp_path: Path) -> None:
    store = Store.open(label(events, tmp_path / "labelled", labels=TOPS))
    columns = store.read(store.schema.names())
    before = events.read(events.schema.names())
    for row in range(60):
        pt = tops(before, row)
        for number in (1, 2, 3):
            assert np.asarray(columns[f"truth_top_at_least_{number}"])[row] == (len(pt) >= number)
        for rank, place in enumerate(("top", "top2", "top3")):
            bins = [int(np.asarray(columns[f"truth_{place}_pt_bin{k}"])[row]) for k in range(3)]
            there = rank < len(pt)
            assert sum(bins) == there  # every particle lies in exactly one bin
            if there:
                assert bins[int(np.digitize(pt[rank], [50, 80]))] == 1
    assert np.array_equal(np.asarray(columns["event_label"]), np.asarray(before["event_label"]))
    assert store.schema.label == "event_label"
    assert store.schema["truth_top2_pt_bin1"].classes == ("no", "yes")
    assert "[50, 80) GeV" in store.schema["truth_top2_pt_bin1"].description


def test_the_order_of_the_objects_does_not_matter(events: Store) -> None:
    labels = read_label_set(TOPS)
    columns = events.read(events.schema.names())
    pt = lists(columns, "object_pt")
    order = np.lexsort((np.random.default_rng(0).random(len(pt.values)), pt.row_index()))
    shuffled = {
        name: Ragged(column.values[order], column.offsets) if isinstance(column, Ragged) else column
        for name, column in columns.items()
    }
    for name, values in labels.compute(columns).items():
        assert np.array_equal(labels.compute(shuffled)[name], values), name


def test_reconstructed_objects_are_no_particles(events: Store) -> None:
    """Electrons that a detector saw alone are not counted."""
    columns = dict(events.read(events.schema.names()))
    level = lists(columns, "object_level")
    columns["object_level"] = level.with_values(np.zeros_like(level.values))
    found = read_label_set({"particles": {"electron": {"at_least": [1]}}}).compute(columns)
    assert not found["truth_electron_at_least_1"].any()


def test_the_built_in_set_fits_a_store(
    events: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="hepfm"):
        path = label(events, tmp_path / "labelled", labels="event_truth")
    found = shares(path)
    assert found["truth_top_at_least_1"] == pytest.approx(0.5)  # every second event is ttbar
    assert found["truth_z_at_least_1"] == pytest.approx(0.5)
    assert found["truth_higgs_at_least_1"] == 0
    assert "truth_higgs_at_least_1 is no in all rows" in caplog.text


@pytest.mark.parametrize(
    ("particles", "said"),
    [
        ({}, "at least 1"),
        ({"topp": {"at_least": [1]}}, "no generator particle 'topp'; did you mean 'top'"),
        ({"jet": {"at_least": [1]}}, "no generator particle 'jet'"),
        ({"met": {"pt": [20]}}, "no generator particle 'met'"),
        ({"top": {}}, "labels nothing"),
        ({"top": {"at_least": []}}, "at_least"),
        ({"top": {"at_least": [0]}}, "greater than 0"),
        ({"top": {"at_least": [1, 1]}}, "names a number twice"),
        ({"top": {"pt": []}}, "pt"),
        ({"top": {"pt": [100, 50]}}, "must rise"),
        ({"top": {"pt": [100, 100]}}, "must rise"),
        ({"top": {"pt": [0, 100]}}, "leaves a bin empty"),
        ({"top": {"phi": [0, 4]}}, "leaves a bin empty"),
        ({"top": {"pt": [10], "hardest": 0}}, "hardest"),
        ({"top": {"mass": [10]}}, "unknown key 'particles.top.mass'"),
    ],
)
def test_a_label_set_that_says_nothing_or_too_much_is_refused(particles: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_label_set({"particles": particles})


def test_stores_without_generator_objects_are_refused(
    events: Store, tmp_path: Path, jet_store: Store
) -> None:
    with pytest.raises(IncompatibleError, match="lack object_pt"):
        label(jet_store, tmp_path / "a", labels=TOPS)
    columns = dict(events.read(events.schema.names()))
    seen = lists(columns, "object_level").values == 0
    columns = {
        name: column.keep(seen) if isinstance(column, Ragged) else column for name, column in columns.items()
    }
    write_store(tmp_path / "seen", events.schema, [("train", columns)], provenance={})
    with pytest.raises(DataError, match=r"no event of .* has a generator object"):
        label(tmp_path / "seen", tmp_path / "b", labels=TOPS)
    assert not (tmp_path / "b").exists()


def test_labels_that_are_there_already_are_refused(events: Store, tmp_path: Path) -> None:
    once = label(events, tmp_path / "once", labels=TOPS)
    with pytest.raises(DataError, match=r"has truth_top_at_least_1, .* already"):
        label(once, tmp_path / "twice", labels=TOPS)


def test_unknown_sets_are_refused(events: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown label recipe 'event_trut'; did you mean 'event_truth'"):
        label(events, tmp_path / "x", labels="event_trut")


def test_the_verb_prints_the_shares(events: Store, tmp_path: Path) -> None:
    (tmp_path / "tops.yaml").write_text("particles: {top: {at_least: [2]}}\n", encoding="utf-8")
    arguments = ["data", "label", str(events.path), "--labels", str(tmp_path / "tops.yaml")]
    result = CliRunner().invoke(group, [*arguments, "-o", str(tmp_path / "labelled"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["labels"] == {"truth_top_at_least_2": 0.5}
    again = CliRunner().invoke(group, [*arguments, "-o", str(tmp_path / "labelled")])
    assert again.exit_code == 2
    assert "exists already" in again.output


def test_a_table_has_the_same_labels_as_a_store(events: Store) -> None:
    labels, table = read_label_set(TOPS), event_table(60)
    found, expected = (labels.compute(source.read(source.schema.names())) for source in (table, events))
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
