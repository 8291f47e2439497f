"""The task of a search: yields from cross sections, luminosity and event weights."""

from __future__ import annotations

import numpy as np
import pytest
from event_rows import PROCESSES, event_columns

from hepfm.core.errors import ConfigError
from hepfm.data.schemas.events import event_schema
from hepfm.data.store import Store
from hepfm.data.writer import write_store
from hepfm.metrics.predictions import FloatArray, IntArray
from hepfm.tasks.base import MeasureOptions, load_task
from hepfm.tasks.significance import EXPECTED
from hepfm.tasks.subject import Scorer


class Oracle:
    """Scores rows by their true class, blurred."""

    classes = PROCESSES

    def score(self, store: Store, rows: IntArray) -> FloatArray:
        label = np.asarray(store.read(["event_label"], rows)["event_label"])
        p = 1 / (1 + np.exp(-(np.random.default_rng(0).normal(size=len(rows)) + 2 * label)))
        return np.stack([1 - p, p], axis=1)


class OracleSubject:
    what = "an oracle"

    def scorer(self, label: str, objective: object) -> Scorer:
        return Oracle()

    def baselines(self, label: str) -> tuple[()]:
        return ()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("significance") / "store"
    columns = event_columns(600)
    columns["event_weight"] = np.where(np.arange(600) % 3 == 0, 2.0, 0.5).astype(np.float32)
    made = {
        "sigma_mb": 1e-9,
        "sum_of_event_weights": 2000.0,
        "events_found": 50,
        "events_kept": 40,
        "unit": 2.0,
    }
    # Of several processes, e.g. masses, no sum is known.
    classes = {"ttbar": {"processes": [made]}, "Zjets": {"processes": [made, made]}}
    schema = event_schema(PROCESSES, truth=True, weight=True)
    write_store(path, schema, [("test", columns)], provenance={"source": "random", "classes": classes})
    return Store.open(path)


def measured(store: Store, **options: object):  # type: ignore[no-untyped-def]
    spec = {"name": "significance", "signal": "Zjets", "background": "ttbar", **options}
    task = load_task(spec).bind(store.schema, where="the store")
    return task.measure(OracleSubject(), store, MeasureOptions())  # type: ignore[arg-type]


def test_expected_events_are_cross_section_times_luminosity(store: Store) -> None:
    found = measured(store, cross_sections={"Zjets": 0.5}, luminosity=10.0)
    table = found.tables["scores.arrow"]
    expected, label = (np.asarray(table.column(name)) for name in (EXPECTED, "label"))
    names = [found.classes[number] for number in label]
    assert expected[[name == "ttbar" for name in names]].sum() == pytest.approx(500)
    assert expected[[name == "Zjets" for name in names]].sum() == pytest.approx(5)
    # Within a class they go by the weights of the events.
    of_ttbar = expected[[name == "ttbar" for name in names]]
    assert of_ttbar.max() / of_ttbar.min() == pytest.approx(4)


def test_twice_the_cross_section_and_half_the_luminosity_are_the_same(store: Store) -> None:
    one = measured(store, cross_sections={"Zjets": 0.5, "ttbar": 60}, luminosity=10.0)
    other = measured(store, cross_sections={"Zjets": 1.0, "ttbar": 120}, luminosity=5.0)
    for first, second in zip(one.metrics, other.metrics, strict=True):
        assert first.value == pytest.approx(second.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "does not tell the cross sections of Zjets"),
        ({"cross_sections": {"Zjet": 1.0}}, "did you mean 'Zjets'"),
        ({"cross_sections": {"Zjets": -1.0}}, "cross sections are above 0"),
        ({"cross_sections": {"Zjets": 1.0}, "luminosity": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_is_refused(store: Store, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        measured(store, **options)
